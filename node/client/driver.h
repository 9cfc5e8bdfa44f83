// client::Driver: connects a client program's Appender, Submitter and Readers to the ports of a world, real or simulated.
// The program derives from it, overrides what it wants to hear, and calls flush() after it has submitted something. In one
// turn it hears outcomes first, then transactions (and tells its Submitter what it applied), then on_progress().
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "io/ports/host.h"
#include "node/client/appender.h"
#include "node/client/reader.h"
#include "node/client/submitter.h"

namespace reel::client {

class Driver : public io::Host {
 public:
  Driver(io::Ports& ports, const io::ParcelCodec& call_codec) : ports_(ports), call_codec_(call_codec) {}

  Appender& open_appender(const AppenderOptions& options);
  Reader& open_reader(const ReaderOptions& options);
  Submitter& open_submitter(const SubmitterOptions& options);

  // ---- for the program
  virtual void on_committed(const std::vector<CommittedRun>&) {}
  virtual void on_refused(const std::vector<Refusal>&) {}  // by the lock rule, or burned
  virtual void on_submitted(const SubmitOutcome&) {}       // of the submitter; once for each submit
  virtual void on_transaction(const log::Transaction&) {}  // of any reader, in its order
  virtual void on_progress() {}  // after each turn: failures, room to submit, being caught up
  // An answer to a call that the program made itself with call().
  virtual void on_other_reply(io::CallId, const ClientReply*) {}  // nullptr: the call failed

  // Makes one call; ends in on_other_reply().
  io::CallId call(NodeId to, ClientCall body);
  // Sends what there is to send and sets the alarm.
  void flush();

  void on_start() override { flush(); }
  void on_wake() override;
  void on_reply(io::CallId call, io::Parcel body) override;
  void on_call_failed(io::CallId call) override;

 protected:
  io::Ports& ports() { return ports_; }
  // The program's own alarm, besides those of its conversations; kNever for none.
  void set_alarm(io::Instant time) { alarm_ = time; }
  virtual void on_alarm() {}
  Appender* appender() { return appender_ ? &*appender_ : nullptr; }
  Submitter* submitter() { return submitter_ ? &*submitter_ : nullptr; }
  std::vector<std::unique_ptr<Reader>>& readers() { return readers_; }

 private:
  void settle();

  io::Ports& ports_;
  const io::ParcelCodec& call_codec_;
  Calls calls_;
  std::optional<Appender> appender_;
  std::optional<Submitter> submitter_;
  std::vector<std::unique_ptr<Reader>> readers_;
  AppendResult outcomes_;
  io::Instant alarm_ = io::kNever;
};

}  // namespace reel::client
