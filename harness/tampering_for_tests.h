// Replicas whose messages and answers are tampered with on their way out: failing runs without a bug in the code.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/simulation.h"
#include "io/wire/codec.h"

namespace reel::harness {

class TamperedNetwork final : public io::Network {
 public:
  TamperedNetwork(io::Network& below, std::function<void(PeerMessage&)> tamper)
      : below_(below), tamper_(std::move(tamper)) {}
  void send(NodeId to, io::Parcel parcel) override {
    if (!parcel.is<PeerBatch>()) return below_.send(to, std::move(parcel));
    PeerBatch batch = parcel.get<PeerBatch>();
    for (PeerMessage& message : batch.messages) tamper_(message);
    below_.send(to, io::Parcel::of(std::move(batch), wire::kPeerBatchCodec));
  }

 private:
  io::Network& below_;
  std::function<void(PeerMessage&)> tamper_;
};

class TamperedService final : public io::Service {
 public:
  TamperedService(io::Service& below, std::function<void(ClientReply&)> tamper)
      : below_(below), tamper_(std::move(tamper)) {}
  void reply(io::CallId call, io::Parcel body) override {
    ClientReply reply = body.get<ClientReply>();
    tamper_(reply);
    below_.reply(call, io::Parcel::of(std::move(reply), wire::kClientReplyCodec));
  }

 private:
  io::Service& below_;
  std::function<void(ClientReply&)> tamper_;
};

// Keeps every life's tampered ports until the run is over.
class Tampering {
 public:
  std::function<void(PeerMessage&)> messages = [](PeerMessage&) {};
  std::function<void(ClientReply&)> replies = [](ClientReply&) {};

  // What is to stand between a simulation's replicas and their ports; outlived by this.
  Simulation::Between between() {
    return [this](NodeId, io::Ports& ports) -> io::Ports& {
      lives_.push_back(std::make_unique<Life>(ports, *this));
      return lives_.back()->ports;
    };
  }
  RunReport run(const SimulationOptions& options) { return Simulation(options, {}, between()).run(); }
  // The oracle that complained first in some of the seeds; empty if none did.
  std::string oracle(SimulationOptions options) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      options.seed = seed;
      const RunReport report = run(options);
      if (report.failure) return report.failure->oracle;
    }
    return "";
  }

 private:
  struct Life {
    Life(io::Ports& below, Tampering& by)
        : network(below.network, by.messages),
          service(below.service, by.replies),
          ports{below.clock, network, below.disk, service, below.remote} {}
    TamperedNetwork network;
    TamperedService service;
    io::Ports ports;
  };
  std::vector<std::unique_ptr<Life>> lives_;
};

}  // namespace reel::harness
