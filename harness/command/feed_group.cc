#include "harness/command/feed_group.h"

#include <map>

#include "harness/command/feed_output.h"
#include "harness/random_bits.h"
#include "io/wire/codec.h"
#include "node/client/driver.h"

namespace reel::harness {
namespace {

// So long nothing came, of what the nodes know, before the end is believed; partitions may be on their way here.
constexpr io::Duration kQuiet = io::milliseconds(1500);
constexpr io::Duration kTick = io::milliseconds(100);
constexpr io::Duration kLeavePatience = io::seconds(5);

class GroupFeedHost final : public client::Driver {
 public:
  GroupFeedHost(real::Loop& loop, RealClient& client, const GroupFeedFlags& flags)
      : Driver(client.ports(), wire::kClientCallCodec), loop_(loop), flags_(flags), out_(flags.json) {
    client::GroupReaderOptions options;
    options.nodes = client.everyone();
    options.name = flags.name;
    options.member = {random_bits(), random_bits()};
    options.patience = io::milliseconds(flags.patience_ms);
    options.report_delay = std::min(io::milliseconds(500), options.patience / 4);
    options.wait = std::min(io::seconds(10), options.patience);
    options.seed = random_bits();
    open_group_reader(options);
    client.attach(*this);
    last_news_ = ports().clock.now().monotonic;
    set_alarm(last_news_ + kTick);
  }

  void on_share(const client::ShareChange& change) override {
    last_news_ = ports().clock.now().monotonic;
    printed_.erase(change.group);
  }

  void on_group_transaction(GroupId group, Epoch epoch, const log::Transaction& transaction) override {
    if (leaving_ || full_) return;
    last_news_ = ports().clock.now().monotonic;
    out_.add(transaction, group.value - 1);
    printed_[group] = {epoch, transaction.id + 1};
    full_ = flags_.limit != 0 && out_.count() >= flags_.limit;
  }

  void on_progress() override {
    if (!out_.write_out()) return loop_.stop();
    for (const auto& [group, printed] : std::exchange(printed_, {})) {
      group_reader()->done(group, printed.epoch, printed.next);
    }
    if (group_reader()->failure() || group_reader()->has_left()) loop_.stop();
    if (full_ && !leaving_) leave();
  }

  void on_alarm() override {
    const io::Instant now = ports().clock.now().monotonic;
    set_alarm(now + kTick);
    if (leaving_ && now >= leave_by_) return loop_.stop();
    if (!flags_.follow && !leaving_ && group_reader()->caught_up() && now - last_news_ >= kQuiet) leave();
  }

  // The partitions go to the others at once, not when the patience has passed.
  void leave() {
    if (leaving_) return loop_.stop();  // told twice
    leaving_ = true;
    leave_by_ = ports().clock.now().monotonic + kLeavePatience;
    if (!out_.write_out()) return loop_.stop();
    group_reader()->leave();
    flush();
  }

  Exit report() {
    if (!out_.error().empty()) refuse(out_.error());
    if (group_reader()->failure()) refuse(*group_reader()->failure());
    if (!out_.broken() && !group_reader()->has_left()) {
      refuse(
          "the cluster has not heard that this member leaves; what it had not heard of is read again by the "
          "others");
    }
    return Exit::ok;
  }

 private:
  struct Printed {
    Epoch epoch;
    TxnId next;
  };

  real::Loop& loop_;
  GroupFeedFlags flags_;
  FeedOutput out_;
  std::map<GroupId, Printed> printed_;  // since the last write
  io::Instant last_news_;
  bool full_ = false;  // the limit is reached
  bool leaving_ = false;
  io::Instant leave_by_ = io::kNever;
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
