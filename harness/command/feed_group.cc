#include "harness/command/feed_group.h"

#include <map>
#include <optional>

#include "harness/command/feed_output.h"
#include "harness/random_bits.h"
#include "harness/shared_clock.h"
#include "io/ports/assert.h"
#include "io/wire/codec.h"
#include "node/client/client.h"

namespace reel::harness {
namespace {

// So long nothing came, of what the nodes know, before the end is believed; partitions may be on their way here.
constexpr io::Duration kQuiet = io::milliseconds(1500);
constexpr io::Duration kTick = io::milliseconds(100);
constexpr io::Duration kLeavePatience = io::seconds(5);

class GroupFeedHost final : public io::Host {
 public:
  GroupFeedHost(real::Loop& loop, RealClient& client, const GroupFeedFlags& flags)
      : loop_(loop),
        clock_(client.ports().clock),
        ports_{clock_, client.ports().network, client.ports().disk, client.ports().service,
               client.ports().remote},
        flags_(flags),
        out_(flags.json) {
    client::ClientOptions options;
    options.nodes = client.everyone();
    options.entropy.high = random_bits();
    options.entropy.low = random_bits();
    client_.emplace(ports_, wire::kClientCallCodec, std::move(options));
    client.attach(*this);
  }

  void on_start() override {
    client::JoinOptions options;
    options.name = flags_.name;
    options.patience = io::milliseconds(flags_.patience_ms);
    options.report_delay = std::min(io::milliseconds(500), options.patience / 4);
    options.done_by_hand = true;
    options.apply = [this](GroupId partition, const log::Transaction& transaction) {
      print(partition, transaction);
      return std::expected<void, std::string>();
    };
    options.on_share = [this](const client::ShareChange& change) {
      last_news_ = now();
      printed_.erase(change.group);
      if (change.gained) epochs_[change.group] = change.epoch;
    };
    options.on_failed = [this](const std::string& why) { refusal_ = why; };
    const bool joins = client_->join(options);
    REEL_CHECK(joins);
    last_news_ = now();
    client_->on_start();
    clock_.wake_program_at(last_news_ + kTick);
  }
  void on_wake() override {
    if (clock_.program_alarm() <= now()) on_tick();
    client_->on_wake();
    settle();
  }
  void on_reply(io::CallId call, io::Parcel body) override {
    client_->on_reply(call, std::move(body));
    settle();
  }
  void on_call_failed(io::CallId call) override {
    client_->on_call_failed(call);
    settle();
  }

  // The partitions go to the others at once, not when the patience has passed.
  void leave() {
    if (leaving_) return loop_.stop();  // told twice
    if (!write_out()) return loop_.stop();
    leaving_ = true;
    const bool leaves = client_->leave(flags_.name, kLeavePatience, [this](bool known) {
      known_ = known;
      loop_.stop();
    });
    REEL_CHECK(leaves);
    client_->pump();
  }

  Exit report() {
    if (!out_.error().empty()) refuse(out_.error());
    if (refusal_) refuse(*refusal_);
    if (!out_.broken() && !known_) {
      refuse(
          "the cluster has not heard that this member leaves; what it had not heard of is read again by the "
          "others");
    }
    return Exit::ok;
  }

 private:
  io::Instant now() const { return ports_.clock.now().monotonic; }

  void print(GroupId partition, const log::Transaction& transaction) {
    if (leaving_ || full_) return;
    last_news_ = now();
    out_.add(transaction, partition.value - 1);
    printed_[partition] = transaction.id + 1;
    full_ = flags_.limit != 0 && out_.count() >= flags_.limit;
  }
  // What is written is done with.
  bool write_out() {
    if (!out_.write_out()) return false;
    for (const auto& [partition, next] : std::exchange(printed_, {})) {
      client_->done(flags_.name, partition, epochs_.at(partition), next);
    }
    return true;
  }
  void settle() {
    if (refusal_) return loop_.stop();
    const bool news = !printed_.empty();
    if (!write_out()) return loop_.stop();
    if (full_ && !leaving_) return leave();
    if (news) client_->pump();
  }
  void on_tick() {
    clock_.wake_program_at(now() + kTick);
    const client::Membership* member = client_->membership(flags_.name);
    const bool idle = member != nullptr && member->caught_up() && now() - last_news_ >= kQuiet;
    if (!flags_.follow && !leaving_ && idle) leave();
  }

  real::Loop& loop_;
  SharedClock clock_;
  io::Ports ports_;
  GroupFeedFlags flags_;
  FeedOutput out_;
  std::map<GroupId, Epoch> epochs_;   // of the shares that it was given last
  std::map<GroupId, TxnId> printed_;  // since the last write: up to here
  io::Instant last_news_;
  bool full_ = false;  // the limit is reached
  bool leaving_ = false;
  bool known_ = false;  // the cluster knows that it left
  std::optional<std::string> refusal_;
  std::optional<client::Client> client_;  // last: its callbacks use all of the above
};

}  // namespace

Exit feed_group(real::Loop& loop, RealClient& client, const GroupFeedFlags& flags) {
  GroupFeedHost host(loop, client, flags);
  loop.on_stop_signal([&](int) { host.leave(); });
  host.on_start();
  loop.run();
  return host.report();
}

}  // namespace reel::harness
