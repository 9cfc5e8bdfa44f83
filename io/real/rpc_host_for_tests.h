// A host that records what reaches it and answers calls at once: for the tests of the RPC adapters.
#pragma once

#include <functional>
#include <vector>

#include "io/ports/host.h"
#include "io/wire/codec.h"
#include "node/client_message.h"
#include "node/message.h"

namespace reel::real {

// What the recording host answers: a function of the call, so that a client can check it.
inline ClientReply answer_to(const ClientCall& call) {
  if (const auto* append = std::get_if<AppendCall>(&call)) {
    CommittedRun run;
    run.first = append->first;
    run.count = append->count;
    run.id = TxnId(append->first.value * 10);
    run.time = append->block.size();
    return AppendResult{{run}, {}};
  }
  if (const auto* feed = std::get_if<FeedCall>(&call)) {
    FeedResult result;
    result.high_water = feed->from + 2;
    if (!feed->filter.empty()) {
      result.next = TxnId(feed->from_time);
      return result;
    }
    result.entries.push_back(Bytes::copy_of(std::string(feed->bytes_max, 'x')));
    result.entries.push_back(Bytes::copy_of(std::string_view("tail")));
    return result;
  }
  if (const auto* high_water = std::get_if<HighWaterCall>(&call)) {
    return HighWaterResult{TxnId(high_water->group.value * 100 + (high_water->linearizable ? 1 : 0))};
  }
  if (const auto* create = std::get_if<CreatePartitionsCall>(&call)) return PartitionsResult{create->total};
  if (const auto* report = std::get_if<ReaderGroupCall>(&call)) {
    ReaderGroupResult result;
    result.members = static_cast<std::uint32_t>(report->verb);
    result.partitions = static_cast<std::uint32_t>(report->name.size());
    for (const ReaderProgress& progress : report->progress) {
      result.shares.push_back({progress.group, progress.epoch, progress.next, progress.released});
    }
    return result;
  }
  if (const auto* wanted = std::get_if<ReaderGroupsCall>(&call)) {
    return ReaderGroupsResult{{{wanted->name, {}, {}}}};
  }
  if (std::holds_alternative<RemoveReaderGroupCall>(call)) return ReaderGroupsResult{};
  if (const auto* resolve = std::get_if<ResolveCall>(&call)) {
    ResolveResult result;
    if (resolve->sequence.value % 2 == 0) {
      result.committed =
          CommittedRun{resolve->sequence, 1, TxnId(resolve->opened.value + 1), resolve->session.low};
    }
    return result;
  }
  if (const auto* lookup = std::get_if<TransactionCall>(&call)) {
    TransactionResult result;
    result.high_water = lookup->id + lookup->group.value;
    return result;
  }
  StatusResult status;
  status.node = NodeId(1);
  status.version = "test";
  status.disk = "ok";
  status.ready = true;
  return status;
}

struct RecordingHost : io::Host {
  struct Received {
    NodeId from;
    io::Parcel parcel;
  };
  struct Called {
    io::CallId call;
    io::Rights rights{};
    ClientCall body;
  };
  struct Replied {
    io::CallId call;
    ClientReply reply;
  };

  void on_start() override {}
  void on_received(NodeId from, io::Parcel parcel) override {
    received.push_back({from, parcel});
    if (on_message) on_message(from, parcel);
  }
  void on_peer_up(NodeId peer, io::ConnectionId connection) override {
    ups.push_back(connection);
    if (on_up) on_up(peer);
  }
  void on_peer_down(NodeId, io::ConnectionId connection) override { downs.push_back(connection); }
  void on_call(io::CallId call, io::Rights rights, io::Parcel body) override {
    calls.push_back({call, rights, body.get<ClientCall>()});
    if (service != nullptr) service->reply(call, wire::parcel(answer_to(body.get<ClientCall>())));
  }
  void on_call_cancelled(io::CallId call) override { cancelled.push_back(call); }
  void on_reply(io::CallId call, io::Parcel reply) override {
    replies.push_back({call, reply.get<ClientReply>()});
    if (on_answer) on_answer(call, reply.get<ClientReply>());
  }
  void on_call_failed(io::CallId call) override { failed.push_back(call); }

  std::size_t messages() const {
    std::size_t count = 0;
    for (const Received& one : received) {
      count += one.parcel.is<PeerBatch>() ? one.parcel.get<PeerBatch>().messages.size() : 1;
    }
    return count;
  }

  io::Service* service = nullptr;  // nullptr: calls are left waiting
  std::function<void(NodeId, const io::Parcel&)> on_message;
  std::function<void(NodeId)> on_up;
  std::function<void(io::CallId, const ClientReply&)> on_answer;
  std::vector<Received> received;
  std::vector<io::ConnectionId> ups;
  std::vector<io::ConnectionId> downs;
  std::vector<Called> calls;
  std::vector<io::CallId> cancelled;
  std::vector<Replied> replies;
  std::vector<io::CallId> failed;
};

}  // namespace reel::real
