#include "node/driver.h"

#include "io/ports/assert.h"

namespace reel::node {

Driver::Driver(const DriverOptions& options, io::Ports& ports, StepObserver* observer,
               std::function<void(const std::string&)> halted)
    : options_(options),
      ports_(ports),
      observer_(observer),
      halted_(std::move(halted)),
      superblock_(options.cluster, options.id),
      node_(options.node) {
  REEL_CHECK(options.peer_batch_codec != nullptr && options.client_reply_codec != nullptr);
  effects_.wants_notes = observer != nullptr;
}

void Driver::on_start() {
  superblock_.start(effects_.disk);
  carry_out();
}

void Driver::on_wake() { step(Tick{}); }

void Driver::on_disk(io::DiskResult result) {
  if (stopped_) return;
  if (DiskQueue::owner_of(result.op) != DiskOwner::superblock) return step(DiskDone{std::move(result)});
  superblock_.on_disk(result, effects_.disk);
  if (!superblock_.done() || stamp_) return carry_out();
  auto content = superblock_.take();
  if (!content) return stop(content.error().text);
  stamp_ = journal::Stamp{content->cluster, content->node, content->incarnation};
  if (options_.booted) options_.booted(*stamp_);
  step(Boot{*stamp_, options_.entropy});
}

void Driver::on_received(NodeId from, io::Parcel parcel) { step(ReceivedParcel{from, std::move(parcel)}); }
void Driver::on_peer_up(NodeId peer, io::ConnectionId connection) { step(PeerUp{peer, connection}); }
void Driver::on_peer_down(NodeId peer, io::ConnectionId connection) { step(PeerDown{peer, connection}); }
void Driver::on_call(io::CallId call, io::Rights rights, io::Parcel body) {
  step(Request{call, rights, std::move(body)});
}
void Driver::on_call_cancelled(io::CallId call) { step(Cancelled{call}); }

void Driver::step(const Event& event) {
  // Before the superblock is read there is no node yet: peers and clients ask again.
  if (stopped_ || !stamp_) return;
  const io::Now now = ports_.clock.now();
  node_.step(now, event, effects_);
  if (observer_ != nullptr) observer_->on_step(node_, now, event, effects_);
  carry_out();
}

// Disk first, so that a write is on its way while messages are encoded.
void Driver::carry_out() {
  for (io::DiskRequest& request : effects_.disk.requests()) ports_.disk.submit(std::move(request));
  for (Send& send : effects_.sends) {
    ports_.network.send(send.to, io::Parcel::of(std::move(send.batch), *options_.peer_batch_codec));
  }
  for (Reply& reply : effects_.replies) {
    ports_.service.reply(reply.call, io::Parcel::of(std::move(reply.body), *options_.client_reply_codec));
  }
  if (effects_.wake_at) ports_.clock.wake_at(*effects_.wake_at);
  const std::optional<std::string> halt = std::move(effects_.halt);
  effects_.clear();
  if (halt) stop(*halt);
}

void Driver::stop(const std::string& why) {
  if (stopped_) return;
  stopped_ = true;
  if (halted_) halted_(why);
}

}  // namespace reel::node
