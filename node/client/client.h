// Client: what an application holds of a cluster, as pure logic. It mounts any set of partitions; of each it keeps a view, to
// which it applies the feed in order, and takes submits, whose transactions are made from that view. It is an io::Host: the
// same code runs in every simulation and behind the facades for real programs (harness/client).
//
// Invariants
// - A view is applied to in order of id, each transaction once, and never past one whose application failed: that one is
//   tried again, skipped by the application's own word, or its view stands still. Other partitions go on.
// - Each submission ends in exactly one on_failed, or in one on_committed and then one on_applied. on_applied says `applied`
//   only behind the application of that very transaction.
// - A flush ends well only when every submission from before it has ended, in the way it asked for.
// - What a lookup calls absent was above a linearizable high-water mark that was read after the lookup began.
//
// Order within a turn, for each partition: outcomes, then transactions; then reader groups. Callbacks run on the thread of the
// host; they may call anything here, but for `execute`, `on_conflict` and `partition_of`, which may call nothing. A
// std::exception out of `apply` or `dead_letter` counts as a failed application; out of any other callback it is a
// programmer's error.
//
// Bounds: of each partition outstanding_max submissions (until they are applied), bytes of records and of prefetched
// transactions as in the options, apply_max transactions a turn, one feed call. Reader groups as in membership.h.
// questions_max questions and flushes. Every submission and question has a deadline, so everything ends, and close() too.
//
// Cost: a turn touches only partitions to which something happened; O(log) in partitions and submissions; O(shares) for each
// reader group that this client is a member of. Transactions are applied where they lie in the feed's answer: no copy.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/ports/host.h"
#include "node/client/applier.h"
#include "node/client/membership.h"
#include "node/client/question.h"
#include "node/client/reader.h"
#include "node/client/submitter.h"

namespace reel::client {

// Numbers the submissions of one Client, over all partitions: 1, 2, 3, …
using SubmissionId = io::Strong<struct SubmissionTag>;

struct Submission {
  // Where to. Nothing: ClientOptions::partition_of(key) says.
  std::optional<GroupId> partition{};
  std::string key{};
  // As TransactionContext::execute.
  std::function<std::optional<Prepared>(const View&)> execute;
  io::Duration timeout{};          // 0: ClientOptions::submit_timeout
  std::uint32_t attempts_max = 0;  // that are sent and refused; 0: SubmitterOptions::attempts_max
  // The lock rule has refused an attempt, and another one is allowed. False is the application's veto.
  std::function<bool(const Refusal&)> on_conflict{};
  std::function<void(const SubmitOutcome&)> on_committed{};
  std::function<void(const SubmitOutcome&, Application)> on_applied{};
  std::function<void(const SubmitOutcome&)> on_failed{};  // every outcome but committed
};

// Why a submission was not taken; nothing of it was done.
enum class NotTaken : std::uint8_t {
  not_mounted,
  no_room,  // try again after some outcomes
  closed,   // or being unmounted
  failed,   // the cluster refuses this client's appends, as on_failed has told
};
[[nodiscard]] const char* name_of(NotTaken why);

struct MountOptions : ApplierOptions {
  TxnId from;  // the first id that the application has not applied
  // The view's status has become `stopped` or `failed`.
  std::function<void(GroupId, const ViewState&)> on_stopped{};
};

struct ClientOptions {
  std::vector<NodeId> nodes;  // whom to ask; not empty
  SessionId entropy;          // drawn at random for this client alone
  std::function<GroupId(std::string_view)>
      partition_of{};  // of a key; needed where submissions name no partition
  io::Duration submit_timeout = io::seconds(30);
  std::uint64_t prefetch_bytes =
      4u << 20;  // of a partition's transactions that wait to be applied; more is not asked for
  std::uint32_t apply_max = 1024;  // transactions of one partition in one turn
  std::uint32_t questions_max = 1024;
  // For each partition; nodes, group, session, position and seed are filled in.
  SubmitterOptions submitter{};
  ReaderOptions reader{};
};

class Client final : public io::Host {
 public:
  Client(io::Ports& ports, const io::ParcelCodec& call_codec, ClientOptions options);

  // ---- partitions

  // False: it is mounted already, or not yet unmounted.
  [[nodiscard]] bool mount(GroupId partition, MountOptions options);
  // Its submissions are cancelled; when all have ended, it is gone, and `done` is called. False: it is not mounted.
  bool unmount(GroupId partition, std::function<void()> done = {});
  [[nodiscard]] std::vector<GroupId> mounted() const;
  // Nothing: it is not mounted.
  [[nodiscard]] std::optional<ViewState> view(GroupId partition) const;
  // Lets a stopped view go on: tries its poison transaction again, or skips it. False: it is not stopped.
  bool resume(GroupId partition, Verdict verdict);

  // ---- reader groups

  // Becomes a member, as soon as the cluster hears of it. False: it is one already, or has not left yet.
  [[nodiscard]] bool join(const JoinOptions& options);
  // Applies nothing more, and tells the cluster, so that the others need not wait out its patience. Calls done(true) when the
  // cluster knows, done(false) after `timeout`: by then it is gone here all the same. False: it is no member.
  bool leave(const std::string& group, io::Duration timeout, std::function<void(bool)> done = {});
  // With done_by_hand: the application is done with all before `next` in this share.
  void done(const std::string& group, GroupId partition, Epoch epoch, TxnId next);
  // Lets a stopped share go on. False: it is not stopped.
  bool resume(const std::string& group, GroupId partition, Verdict verdict);
  // Nothing: it is no member, or has left.
  [[nodiscard]] const Membership* membership(const std::string& group) const;

  // ---- submissions

  // Why a submission would not be taken now; nothing: it would.
  [[nodiscard]] std::optional<NotTaken> refusal(GroupId partition) const;
  [[nodiscard]] std::expected<SubmissionId, NotTaken> submit(Submission submission);
  // Ends it soon, in whatever turns out to be true. What is committed, or has ended, is left alone.
  void cancel(SubmissionId submission);
  // Submissions that have no outcome yet; and those, with what is committed and not yet applied.
  std::size_t outstanding() const { return unanswered_.size(); }
  std::size_t unapplied() const { return submissions_.size(); }
  // Calls done(true) when all that was submitted before has its outcome, and with `applied` has been applied too; or
  // done(false) after `timeout`.
  void flush(bool applied, io::Duration timeout, std::function<void(bool)> done);

  // ---- questions. Each ends in one call of `done`, by its timeout at the latest; at once, as overloaded, when questions_max
  // are unanswered.

  // The id that the next committed transaction will get; if not linearizable: as far as some node knows.
  void high_water(GroupId partition, bool linearizable, io::Duration timeout,
                  std::function<void(std::expected<TxnId, CallError>)> done);
  // One committed transaction, checked against its checksum; nothing: there is none with this id yet.
  void lookup(GroupId partition, TxnId id, io::Duration timeout,
              const std::function<void(std::expected<std::optional<CommittedRecord>, CallError>)>& done);
  // What became of a request. With `burn` it never commits, if it has not yet.
  void resolve(GroupId partition, const SessionId& session, Sequence sequence, bool burn,
               io::Duration timeout, std::function<void(std::expected<ResolveResult, CallError>)> done);

  // ---- the end

  // Takes no more submissions, and leaves its reader groups. When all submissions have been applied, or after `timeout` (then
  // they are cancelled), all partitions are unmounted and `done` is called. Once.
  void close(io::Duration timeout, std::function<void()> done);
  bool closed() const { return closing_ && partitions_.empty() && members_.empty(); }

  // Sends what there is to send and sets the alarm. Call it once after calls from outside of callbacks; within one it does
  // nothing, for the turn ends with it.
  void pump();

  const Repeats& repeats(GroupId partition) const { return partitions_.at(partition)->submitter.repeats(); }

  void on_start() override { pump(); }
  void on_wake() override { turn(); }
  void on_reply(io::CallId call, io::Parcel body) override;
  void on_call_failed(io::CallId call) override;

 private:
  // Skips that are remembered, so that an answer which comes late is told the truth about its transaction.
  static constexpr std::size_t kSkipsMax = 1024;

  struct Partition {
    Partition(GroupId id, const SubmitterOptions& submitting, const ReaderOptions& reading, Applier view)
        : group(id), submitter(submitting), reader(reading), applier(std::move(view)) {}
    GroupId group;
    std::function<void(GroupId, const ViewState&)> on_stopped;
    Submitter submitter;
    Reader reader;
    Applier applier;
    std::map<SubmitId, SubmissionId> submits;  // without an outcome
    std::map<TxnId, SubmissionId> unapplied;   // committed
    std::set<TxnId> skips;
    bool unmounting = false;
    std::vector<std::function<void()>> unmounted;
    io::Instant deadline = io::kNever;  // as in deadlines_
  };
  struct Open {
    Submission submission;
    GroupId partition;
    SubmitId submit;
    SubmitOutcome outcome;  // once it is committed
  };
  struct Asked {
    Question question;
    std::function<void(const Answer&)> done;
  };
  struct Flush {
    bool applied = false;
    SubmissionId upto;
    io::Instant deadline;
    std::function<void(bool)> done;
  };
  struct Member {
    Member(std::uint64_t order, const JoinOptions& with, std::vector<NodeId> nodes, MemberId self,
           std::uint64_t seed)
        : number(order), membership(with, std::move(nodes), self, seed) {}
    std::uint64_t number;
    Membership membership;
    bool leaving = false;
    io::Instant gone_by = io::kNever;
    std::vector<std::function<void(bool)>> left;
  };
  // Who made a call: a partition, a question, or a member of a reader group.
  struct Owner {
    GroupId partition;
    std::uint64_t question = 0;
    std::uint64_t member = 0;
  };

  Partition* find(GroupId partition);
  const Partition* find(GroupId partition) const;
  SessionId session_of(std::uint64_t mount) const;

  // ---- turns
  void turn();
  void settle(Partition& partition, const io::Now& now);
  void tell(Partition& partition, const SubmitOutcome& outcome);
  void apply_some(Partition& partition, const io::Now& now);
  void pass(Partition& partition, const Applier::Passed& passed);
  void tell_news(Partition& partition);
  ViewState view_of(const Partition& partition) const;
  void end(SubmissionId submission, Application how);
  void settle_questions(const io::Now& now);
  void settle_flushes(const io::Now& now);
  bool has_ended(const Flush& flush) const;
  void settle_closing(const io::Now& now);
  void start_unmounting(Partition& partition, const io::Now& now);
  void reap();
  void settle_members(const io::Now& now);
  void start_leaving(Member& member, io::Instant gone_by);
  Member* find_member(std::uint64_t number);

  // ---- sending
  void pump_partition(Partition& partition, const io::Now& now);
  void own_new_calls(const Owner& owner);
  void send();
  void set_alarm(const io::Now& now);

  void ask(GroupId partition, ClientCall body, io::Instant deadline, io::Instant not_before,
           std::function<void(const Answer&)> done);
  void look(GroupId partition, TxnId id, io::Instant deadline, std::uint32_t round,
            const std::function<void(std::expected<std::optional<CommittedRecord>, CallError>)>& done);

  io::Ports& ports_;
  const io::ParcelCodec& call_codec_;
  ClientOptions options_;
  Calls calls_;
  std::size_t owned_ = 0;  // of the calls that are to be sent, those whose owner is known
  std::map<io::CallId, Owner> owners_;
  std::map<GroupId, std::unique_ptr<Partition>> partitions_;
  std::uint64_t mounts_ = 0;
  std::map<std::string, std::unique_ptr<Member>> members_;  // by the reader group's name
  std::uint64_t joins_ = 0;
  std::set<GroupId> touched_;
  std::set<std::pair<io::Instant, GroupId>> deadlines_;

  std::map<SubmissionId, Open> submissions_;  // until they are applied
  std::set<SubmissionId> unanswered_;
  SubmissionId last_;

  std::map<std::uint64_t, Asked> questions_;
  std::uint64_t last_question_ = 0;
  std::vector<Flush> flushes_;

  bool turning_ = false;
  bool closing_ = false;
  bool closing_unmounts_ = false;
  io::Instant close_at_ = io::kNever;
  std::function<void()> closed_;
};

}  // namespace reel::client
