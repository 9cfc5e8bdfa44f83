#include "node/client/client.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace reel::client {
namespace {

using Kind = SubmitOutcome::Kind;
using Status = ViewState::Status;

constexpr GroupId kFirst{1};
constexpr GroupId kSecond{2};
// Values are passed as they are.
constexpr io::ParcelCodec kNoCodec{};

struct ManualClock final : io::Clock {
  io::Now now() const override { return {time, {}, {}}; }
  void wake_at(io::Instant at) override { alarm = at; }
  io::Instant time;
  io::Instant alarm = io::kNever;
};

// The partitions of a cluster that answers when it is told to, and as it is told.
struct ScriptedCluster final : io::Remote {
  void call(NodeId to, io::CallId call, io::Parcel body) override {
    calls.push_back({to, call, body.get<ClientCall>()});
  }
  void cancel(io::CallId call) override {
    std::erase_if(calls, [&](const OutgoingCall& each) { return each.call == call; });
    ++cancelled;
  }
  std::vector<OutgoingCall> calls;
  std::uint64_t cancelled = 0;
};

struct NoDisk final : io::Disk {
  void submit(io::DiskRequest) override {}
};
struct NoNetwork final : io::Network {
  void send(NodeId, io::Parcel) override {}
};
struct NoService final : io::Service {
  void reply(io::CallId, io::Parcel) override {}
};

// An entry of one transaction of this session, as the feed sends it.
Bytes entry_of(TxnId id, const SessionId& session, Sequence sequence, std::string_view text) {
  std::vector<std::byte> record;
  log::TransactionInput input;
  input.data = std::as_bytes(std::span(text.data(), text.size()));
  log::append_record(record, input);
  std::vector<std::byte> payload(log::kEntryHeaderBytes + log::kSectionHeaderBytes);
  const std::span whole(payload);
  log::write_entry_header(whole.first<log::kEntryHeaderBytes>(), {1, 1, id, 1000 + id.value});
  log::SectionHeader section;
  section.session = session;
  section.first = sequence;
  section.count = 1;
  section.bytes = static_cast<std::uint32_t>(record.size());
  log::write_section_header(whole.last<log::kSectionHeaderBytes>(), section);
  payload.insert(payload.end(), record.begin(), record.end());
  return Bytes::copy_of(payload);
}

// A client with its application. Nothing is answered unless a test says so.
struct Bench {
  explicit Bench(ClientOptions with = options()) : client(ports, kNoCodec, std::move(with)) {}

  static ClientOptions options() {
    ClientOptions options;
    options.nodes = {NodeId(1), NodeId(2), NodeId(3)};
    options.entropy = {7, 7};
    options.submit_timeout = io::seconds(10);
    return options;
  }
  void mount(GroupId group = kFirst, TxnId from = {}) {
    MountOptions mount;
    mount.from = from;
    mount.apply = [this](GroupId partition, const log::Transaction& transaction) {
      return apply(partition, transaction);
    };
    mount.apply_attempts_max = 2;
    mount.on_stopped = [this](GroupId partition, const ViewState&) { stopped.push_back(partition); };
    if (verdict) {
      mount.dead_letter = [this](const Poison& poison) {
        EXPECT_EQ(poison.why, "poison");
        return *verdict;
      };
    }
    EXPECT_TRUE(client.mount(group, mount));
    client.pump();
  }
  std::expected<void, std::string> apply(GroupId partition, const log::Transaction& transaction) {
    const std::string_view text(reinterpret_cast<const char*>(transaction.record.data.data()),
                                transaction.record.data.size());
    ++attempts;
    if (text == "throws") throw std::runtime_error("poison");
    if (text == "poison" && poisonous) return std::unexpected(std::string("poison"));
    events.push_back("apply " + std::to_string(partition.value) + "/" + std::to_string(transaction.id.value));
    return {};
  }
  Submission submission(GroupId group = kFirst) {
    Submission submission;
    submission.partition = group;
    submission.execute = [](const View&) { return Prepared{}; };
    submission.on_committed = [this](const SubmitOutcome& outcome) {
      events.push_back("committed " + std::to_string(outcome.id.value));
    };
    submission.on_applied = [this](const SubmitOutcome& outcome, Application how) {
      const char* words[] = {"applied ", "skipped ", "unreported "};
      events.push_back(words[static_cast<std::size_t>(how)] + std::to_string(outcome.id.value));
    };
    submission.on_failed = [this](const SubmitOutcome& outcome) {
      events.push_back(std::string("failed ") + name_of(outcome.kind));
    };
    return submission;
  }
  SubmissionId submit(GroupId group = kFirst) {
    const auto id = client.submit(submission(group));
    EXPECT_TRUE(id.has_value());
    client.pump();
    return *id;
  }
  // The one call of this kind for the partition.
  template <class Call>
  std::optional<OutgoingCall> take(GroupId group = kFirst) {
    for (auto at = cluster.calls.begin(); at != cluster.calls.end(); ++at) {
      const auto* call = std::get_if<Call>(&at->body);
      if (call == nullptr || call->group != group) continue;
      OutgoingCall taken = std::move(*at);
      cluster.calls.erase(at);
      return taken;
    }
    return std::nullopt;
  }
  void reply(const std::optional<OutgoingCall>& call, ClientReply body) {
    ASSERT_TRUE(call.has_value());
    client.on_reply(call->call, io::Parcel::of<ClientReply>(std::move(body), kNoCodec));
  }
  void open(GroupId group = kFirst) { reply(take<ResolveCall>(group), ResolveResult{}); }
  void commit(TxnId id, GroupId group = kFirst) {
    const auto call = take<AppendCall>(group);
    ASSERT_TRUE(call.has_value());
    const AppendCall& append = std::get<AppendCall>(call->body);
    reply(call, AppendResult{{{append.first, append.count, id, 1}}, {}});
  }
  void feed(TxnId id, std::string_view text, GroupId group = kFirst) {
    FeedResult result;
    result.high_water = id + 1;
    result.entries = {entry_of(id, {9, 9}, Sequence(id.value + 1), text)};
    reply(take<FeedCall>(group), result);
  }
  // ---- as a member of the reader group "g"
  void join(bool by_hand = false) {
    JoinOptions options;
    options.name = "g";
    options.patience = io::seconds(3);
    options.done_by_hand = by_hand;
    options.apply = [this](GroupId partition, const log::Transaction& transaction) {
      return apply(partition, transaction);
    };
    options.apply_attempts_max = 2;
    options.on_share = [this](const ShareChange& change) {
      events.push_back((change.gained ? "gained " : "lost ") + std::to_string(change.group.value));
    };
    options.on_stopped = [this](GroupId partition, const ViewState&) { stopped.push_back(partition); };
    options.on_failed = [this](const std::string& why) { events.push_back("failed " + why); };
    EXPECT_TRUE(client.join(options));
    client.pump();
  }
  std::optional<OutgoingCall> take_report() {
    for (auto at = cluster.calls.begin(); at != cluster.calls.end(); ++at) {
      if (!std::holds_alternative<ReaderGroupCall>(at->body)) continue;
      OutgoingCall taken = std::move(*at);
      cluster.calls.erase(at);
      return taken;
    }
    return std::nullopt;
  }
  // The coordinator answers the report that is on its way.
  ReaderGroupCall assign(std::vector<ReaderShare> shares) {
    const auto report = take_report();
    EXPECT_TRUE(report.has_value());
    if (!report) return {};
    const ReaderGroupCall said = std::get<ReaderGroupCall>(report->body);
    reply(report, ReaderGroupResult{1, 3, std::move(shares)});
    settle();
    return said;
  }
  // What the member has told the coordinator by the next report.
  ReaderGroupCall next_report(std::vector<ReaderShare> shares) {
    pass(io::seconds(1));
    return assign(std::move(shares));
  }
  // Lets time pass, alarm by alarm.
  void pass(io::Duration span) {
    const io::Instant end = clock.time + span;
    for (int turns = 0; clock.alarm <= end; ++turns) {
      ASSERT_LT(turns, 100'000) << "it spins";
      clock.time = std::max(clock.time, clock.alarm);
      client.on_wake();
    }
    clock.time = end;
  }
  void settle() { pass(io::Duration{0}); }

  ManualClock clock;
  ScriptedCluster cluster;
  NoDisk disk;
  NoNetwork network;
  NoService service;
  io::Ports ports{clock, network, disk, service, cluster};
  bool poisonous = true;
  std::optional<Verdict> verdict;
  std::uint64_t attempts = 0;
  std::vector<std::string> events;
  std::vector<GroupId> stopped;
  Client client;
};

using Events = std::vector<std::string>;

// An application that acts on "applied" would read its own write before it is there.
TEST(Client, TellsOfACommitFirstAndOfItsApplicationAfterwards) {
  Bench bench;
  bench.mount();
  bench.submit();
  bench.open();
  bench.settle();
  bench.commit(TxnId(1));
  bench.settle();
  EXPECT_EQ(bench.events, Events{"committed 1"});
  bench.feed(TxnId(0), "other");
  bench.settle();
  EXPECT_EQ(bench.client.unapplied(), 1u);
  bench.feed(TxnId(1), "own");
  bench.settle();
  EXPECT_EQ(bench.events, (Events{"committed 1", "apply 1/0", "apply 1/1", "applied 1"}));
  EXPECT_EQ(bench.client.unapplied(), 0u);
}

// The feed may be faster than the answer: then the application would never be told of.
TEST(Client, TellsOfAnApplicationThatCameBeforeItsCommit) {
  Bench bench;
  bench.mount();
  bench.submit();
  bench.open();
  bench.settle();
  bench.feed(TxnId(0), "own");
  bench.settle();
  bench.commit(TxnId(0));
  bench.settle();
  EXPECT_EQ(bench.events, (Events{"apply 1/0", "committed 0", "applied 0"}));
}

// A poison transaction could be passed by, be tried in a hot loop, or stop the other partitions.
TEST(Client, APoisonTransactionStopsItsOwnViewAlone) {
  Bench bench;
  bench.mount(kFirst);
  bench.mount(kSecond);
  bench.feed(TxnId(0), "poison");
  bench.settle();
  EXPECT_EQ(bench.client.view(kFirst)->status, Status::retrying);
  bench.feed(TxnId(0), "good", kSecond);
  bench.feed(TxnId(1), "good", kFirst);
  bench.pass(io::seconds(60));
  EXPECT_EQ(bench.events, Events{"apply 2/0"});
  EXPECT_EQ(bench.attempts, 3u) << "two of the poison, one of the other";
  EXPECT_EQ(bench.stopped, std::vector<GroupId>{kFirst});
  const ViewState view = *bench.client.view(kFirst);
  EXPECT_EQ(view.status, Status::stopped);
  EXPECT_EQ(view.next, TxnId(0));
  EXPECT_EQ(view.why, "poison");
  bench.poisonous = false;
  EXPECT_TRUE(bench.client.resume(kFirst, Verdict::retry));
  EXPECT_FALSE(bench.client.resume(kFirst, Verdict::retry)) << "it runs";
  bench.client.pump();
  bench.settle();
  EXPECT_EQ(bench.events, (Events{"apply 2/0", "apply 1/0", "apply 1/1"}));
}

// A dead letter would be told as applied, or the submits behind it would wait for it for ever.
TEST(Client, WhatTheApplicationSkipsCountsAsSeen) {
  Bench bench;
  bench.verdict = Verdict::skip;
  bench.mount();
  bench.submit();
  bench.open();
  bench.settle();
  bench.commit(TxnId(0));
  bench.feed(TxnId(0), "throws");
  bench.settle();
  bench.feed(TxnId(1), "good");
  bench.settle();
  EXPECT_EQ(bench.events, (Events{"committed 0", "skipped 0", "apply 1/1"}));
  EXPECT_EQ(bench.client.view(kFirst)->next, TxnId(2));
}

// The application could be asked after the last attempt, or its veto be overheard.
TEST(Client, TheApplicationMayVetoAnotherAttempt) {
  Bench bench;
  bench.mount();
  Submission submission = bench.submission();
  int asked = 0;
  submission.on_conflict = [&](const Refusal& refusal) {
    EXPECT_EQ(refusal.id, TxnId(4));
    return ++asked < 1;
  };
  ASSERT_TRUE(bench.client.submit(std::move(submission)).has_value());
  bench.client.pump();
  bench.open();
  bench.settle();
  const auto call = bench.take<AppendCall>();
  ASSERT_TRUE(call.has_value());
  const Sequence first = std::get<AppendCall>(call->body).first;
  bench.reply(call, AppendResult{{}, {{first, RefusalCode::conflict, 0, TxnId(4)}}});
  bench.settle();
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(bench.events, Events{"failed Conflict"});
}

// A flush that ends early lets its program go on too soon; one that never ends hangs it.
TEST(Client, AFlushEndsWithWhatWasSubmittedBeforeIt) {
  Bench bench;
  bench.mount();
  bench.submit();
  std::vector<std::string> flushed;
  const auto flush = [&](const char* name, bool applied, io::Duration timeout) {
    bench.client.flush(applied, timeout, [&flushed, name](bool well) {
      flushed.push_back(std::string(name) + (well ? " well" : " late"));
    });
  };
  flush("outcome", false, io::seconds(5));
  flush("short", true, io::milliseconds(1));
  flush("applied", true, io::seconds(5));
  bench.client.pump();
  bench.pass(io::milliseconds(2));
  EXPECT_EQ(flushed, Events{"short late"});
  bench.open();
  bench.settle();
  bench.commit(TxnId(0));
  bench.submit();  // not waited for
  bench.settle();
  EXPECT_EQ(flushed, (Events{"short late", "outcome well"}));
  bench.feed(TxnId(0), "own");
  bench.settle();
  EXPECT_EQ(flushed, (Events{"short late", "outcome well", "applied well"}));
}

// Somebody who asks for a transaction that one slow follower does not have yet would be told that it does not exist.
TEST(Client, ALookupTakesNoFollowersWordForAbsence) {
  Bench bench;
  bench.mount();
  std::optional<std::optional<CommittedRecord>> found;
  const auto look = [&] {
    found.reset();
    bench.client.lookup(kFirst, TxnId(3), io::seconds(5),
                        [&](const auto& answer) { found = answer.value(); });
    bench.client.pump();
  };
  look();
  bench.reply(bench.take<TransactionCall>(), TransactionResult{TxnId(1), std::nullopt});
  bench.reply(bench.take<HighWaterCall>(), HighWaterResult{TxnId(4)});
  EXPECT_FALSE(found.has_value());
  bench.pass(io::seconds(1));
  const Bytes entry = entry_of(TxnId(3), {9, 9}, Sequence(1), "found");
  const Bytes record = entry.slice(72, entry.size() - 72);
  const TransactionResult there{TxnId(4), CommittedRecord{TxnId(3), 1, {9, 9}, Sequence(1), record}};
  bench.reply(bench.take<TransactionCall>(), there);
  ASSERT_TRUE(found.has_value() && found->has_value());
  EXPECT_EQ((*found)->id, TxnId(3));
  look();
  bench.reply(bench.take<TransactionCall>(), TransactionResult{TxnId(3), std::nullopt});
  bench.reply(bench.take<HighWaterCall>(), HighWaterResult{TxnId(3)});
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->has_value());
}

// Answers of the wrong kind, twice, or to calls that were never made must change nothing, and questions must end.
TEST(Client, GarbageChangesNothingAndQuestionsEnd) {
  Bench bench;
  bench.mount();
  bool ended = false;
  bench.client.high_water(kFirst, true, io::seconds(3), [&](const std::expected<TxnId, CallError>& answer) {
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, ErrorCode::deadline_exceeded);
    ended = true;
  });
  bench.client.pump();
  const auto asked = bench.take<HighWaterCall>();
  bench.reply(asked, AppendResult{});
  bench.reply(asked, HighWaterResult{TxnId(99)});
  bench.client.on_reply(io::CallId(12345), io::Parcel::of<ClientReply>(HighWaterResult{}, kNoCodec));
  bench.client.on_reply(io::CallId(1), io::parcel_of(Bytes::copy_of("not a reply")));
  bench.client.on_call_failed(io::CallId(777));
  bench.pass(io::seconds(4));
  EXPECT_TRUE(ended);
}

// An unmounted partition could still be applied to, or leave submissions that never end; mounted again it could begin
// elsewhere than it is told, or take answers of its former life.
TEST(Client, UnmountsAndMountsAgain) {
  Bench bench;
  bench.mount();
  bench.submit();
  bench.open();
  bench.settle();
  const auto late = bench.take<AppendCall>();
  bool gone = false;
  EXPECT_TRUE(bench.client.unmount(kFirst, [&] { gone = true; }));
  EXPECT_EQ(bench.client.submit(bench.submission()).error(), NotTaken::closed);
  bench.client.pump();
  bench.settle();
  EXPECT_FALSE(gone) << "what may be on its way is resolved first";
  bench.reply(bench.take<ResolveCall>(), ResolveResult{});
  bench.settle();
  EXPECT_TRUE(gone);
  EXPECT_EQ(bench.events, Events{"failed Burned"});
  EXPECT_TRUE(bench.client.mounted().empty());
  EXPECT_EQ(bench.client.submit(bench.submission()).error(), NotTaken::not_mounted);
  EXPECT_FALSE(bench.client.unmount(kFirst));
  bench.mount(kFirst, TxnId(5));
  bench.reply(late, AppendResult{{{Sequence(2), 1, TxnId(0), 1}}, {}});
  bench.feed(TxnId(5), "next");
  bench.settle();
  EXPECT_EQ(bench.events, (Events{"failed Burned", "apply 1/5"}));
}

// A client that closes while the cluster is away would never come to its end, or forget to tell what became of its submits.
TEST(Client, ClosesInTimeWhoeverIsAway) {
  Bench bench;
  bench.mount(kFirst);
  bench.mount(kSecond);
  bench.submit(kFirst);
  bench.open(kFirst);
  bench.settle();  // its append is out, and never answered
  bench.submit(kSecond);
  bool closed = false;
  bench.client.close(io::seconds(1), [&] { closed = true; });
  EXPECT_EQ(bench.client.submit(bench.submission()).error(), NotTaken::closed);
  bench.client.pump();
  bench.pass(io::milliseconds(900));
  EXPECT_FALSE(closed);
  bench.pass(io::seconds(10));
  EXPECT_TRUE(closed && bench.client.closed());
  EXPECT_EQ(bench.events, (Events{"failed Burned", "failed Unknown"}));
  EXPECT_EQ(bench.client.outstanding() + bench.client.unapplied(), 0u);
  EXPECT_TRUE(bench.cluster.calls.empty()) << "every call is answered or cancelled";
  EXPECT_EQ(bench.clock.alarm, io::kNever);
}

// A slow application could fill the memory with what it has not applied, or starve the loop.
TEST(Client, AsksForNoMoreThanIsToBePrefetchedAndAppliesALittleAtATime) {
  ClientOptions options = Bench::options();
  options.prefetch_bytes = 1;
  options.apply_max = 1;
  Bench bench(options);
  bench.mount();
  FeedResult result;
  result.high_water = TxnId(3);
  for (std::uint64_t id = 0; id < 3; ++id) {
    result.entries.push_back(entry_of(TxnId(id), {9, 9}, Sequence(id + 1), "x"));
  }
  bench.reply(bench.take<FeedCall>(), result);
  EXPECT_EQ(bench.events.size(), 1u);
  EXPECT_FALSE(bench.take<FeedCall>().has_value());
  bench.client.on_wake();
  EXPECT_EQ(bench.events.size(), 2u);
  bench.settle();
  EXPECT_EQ(bench.events.size(), 3u);
  EXPECT_TRUE(bench.take<FeedCall>().has_value());
}

// Without a bound on what is committed and not applied, a stopped view would let submissions pile up.
TEST(Client, SubmissionsCountUntilTheyAreApplied) {
  ClientOptions options = Bench::options();
  options.submitter.outstanding_max = 1;
  options.partition_of = [](std::string_view key) { return key == "second" ? kSecond : kFirst; };
  Bench bench(options);
  bench.mount();
  Submission submission = bench.submission();
  submission.partition.reset();
  submission.key = "second";
  EXPECT_EQ(bench.client.submit(submission).error(), NotTaken::not_mounted);
  bench.submit();
  EXPECT_EQ(bench.client.submit(bench.submission()).error(), NotTaken::no_room);
  bench.open();
  bench.settle();
  bench.commit(TxnId(0));
  bench.settle();
  EXPECT_EQ(bench.client.refusal(kFirst), NotTaken::no_room);
  bench.feed(TxnId(0), "own");
  bench.settle();
  EXPECT_FALSE(bench.client.refusal(kFirst).has_value());
}

// ---- reader groups

constexpr Epoch kEpoch{1};

// A position that moves before the application has a transaction would lose it with the member.
TEST(ClientMember, AppliesItsSharesAndReportsWhatIsApplied) {
  Bench bench;
  bench.join();
  EXPECT_EQ(bench.assign({{kFirst, kEpoch, TxnId(5)}, {kSecond, kEpoch, TxnId(0)}}).verb,
            ReaderGroupCall::Verb::join);
  bench.feed(TxnId(5), "x");
  bench.feed(TxnId(0), "y", kSecond);
  bench.settle();
  EXPECT_EQ(bench.events, (Events{"gained 1", "gained 2", "apply 1/5", "apply 2/0"}));
  const auto report = bench.next_report({{kFirst, kEpoch, TxnId(6)}, {kSecond, kEpoch, TxnId(1)}});
  ASSERT_EQ(report.progress.size(), 2u);
  EXPECT_EQ(report.progress[0], (ReaderProgress{kFirst, kEpoch, TxnId(6), false}));
  EXPECT_EQ(report.progress[1], (ReaderProgress{kSecond, kEpoch, TxnId(1), false}));
  EXPECT_EQ(bench.client.membership("g")->shares().at(0).kept, TxnId(6));
}

// An application that finishes its work later would lose it, were "applied" taken for "done".
TEST(ClientMember, ReportsWhatIsDoneByHandAlone) {
  Bench bench;
  bench.join(true);
  bench.assign({{kFirst, kEpoch, TxnId(0)}});
  bench.feed(TxnId(0), "x");
  bench.settle();
  EXPECT_TRUE(bench.next_report({{kFirst, kEpoch, TxnId(0)}}).progress.empty());
  bench.client.done("g", kFirst, kEpoch, TxnId(2));  // it has not been handed over: ignored
  EXPECT_TRUE(bench.next_report({{kFirst, kEpoch, TxnId(0)}}).progress.empty());
  bench.client.done("g", kFirst, kEpoch, TxnId(1));
  bench.client.pump();
  const auto report = bench.next_report({{kFirst, kEpoch, TxnId(1)}});
  ASSERT_EQ(report.progress.size(), 1u);
  EXPECT_EQ(report.progress[0].next, TxnId(1));
}

// "Done" from within the application itself would be lost; and must not count when that fails after all.
TEST(ClientMember, TakesTheWordOfTheApplicationWhileItApplies) {
  Bench bench;
  JoinOptions options;
  options.name = "g";
  options.done_by_hand = true;
  options.patience = io::seconds(3);
  options.apply = [&](GroupId group,
                      const log::Transaction& transaction) -> std::expected<void, std::string> {
    bench.client.done("g", group, kEpoch, transaction.id + 1);
    return bench.apply(group, transaction);
  };
  EXPECT_TRUE(bench.client.join(options));
  bench.client.pump();
  bench.assign({{kFirst, kEpoch, TxnId(0)}});
  bench.feed(TxnId(0), "x");
  bench.feed(TxnId(1), "poison");
  bench.pass(io::milliseconds(500));
  const auto report = bench.next_report({{kFirst, kEpoch, TxnId(1), true}});
  ASSERT_EQ(report.progress.size(), 1u);
  EXPECT_EQ(report.progress[0].next, TxnId(1));
  EXPECT_EQ(bench.assign({}).progress.at(0), (ReaderProgress{kFirst, kEpoch, TxnId(1), true}));
}

// Whoever waits for a share would wait for ever behind poison; and what is not applied must be the next one's.
TEST(ClientMember, GivesBackWhatItHasNotApplied) {
  Bench bench;
  bench.join();
  bench.assign({{kFirst, kEpoch, TxnId(0)}});
  FeedResult result;
  result.high_water = TxnId(3);
  result.entries = {entry_of(TxnId(0), {9, 9}, Sequence(1), "x"),
                    entry_of(TxnId(1), {9, 9}, Sequence(2), "poison"),
                    entry_of(TxnId(2), {9, 9}, Sequence(3), "z")};
  bench.reply(bench.take<FeedCall>(), result);
  bench.pass(io::milliseconds(500));
  EXPECT_EQ(bench.stopped, std::vector<GroupId>{kFirst});
  EXPECT_EQ(bench.client.membership("g")->shares().at(0).status, ViewStatus::stopped);
  bench.next_report({{kFirst, kEpoch, TxnId(1), true}});
  const auto report = bench.assign({});
  ASSERT_EQ(report.progress.size(), 1u);
  EXPECT_EQ(report.progress[0], (ReaderProgress{kFirst, kEpoch, TxnId(1), true}));
  EXPECT_EQ(bench.events, (Events{"gained 1", "apply 1/0", "lost 1"}));
  EXPECT_TRUE(bench.client.membership("g")->shares().empty());
}

// When whoever waited is gone, what was given back must be read again, or it is skipped by everybody.
TEST(ClientMember, ReadsOnFromWhatItGaveBack) {
  Bench bench;
  bench.join();
  bench.assign({{kFirst, kEpoch, TxnId(0)}});
  bench.feed(TxnId(0), "poison");
  bench.pass(io::milliseconds(500));
  bench.next_report({{kFirst, kEpoch, TxnId(0), true}});
  bench.poisonous = false;
  bench.assign({{kFirst, kEpoch, TxnId(0), false}});
  const auto feed = bench.take<FeedCall>();
  ASSERT_TRUE(feed.has_value());
  EXPECT_EQ(std::get<FeedCall>(feed->body).from, TxnId(0));
}

// A stopped share must go on when the application says so, and its skip must count as done.
TEST(ClientMember, SkipsPoisonByTheApplicationsWord) {
  Bench bench;
  bench.join();
  bench.assign({{kFirst, kEpoch, TxnId(0)}});
  bench.feed(TxnId(0), "poison");
  bench.pass(io::milliseconds(500));
  EXPECT_FALSE(bench.client.resume("g", kSecond, Verdict::skip));
  EXPECT_TRUE(bench.client.resume("g", kFirst, Verdict::skip));
  bench.client.pump();
  const auto report = bench.next_report({{kFirst, kEpoch, TxnId(1)}});
  ASSERT_EQ(report.progress.size(), 1u);
  EXPECT_EQ(report.progress[0].next, TxnId(1));
}

// An answer that waits for room must be taken when there is room, not at the next alarm.
TEST(ClientMember, TakesWhatWaitedAsSoonAsThereIsRoom) {
  ClientOptions options = Bench::options();
  options.apply_max = 1;
  Bench bench(options);
  bench.join();
  bench.assign({{kFirst, kEpoch, TxnId(0)}});
  FeedResult result;
  result.high_water = TxnId(3);
  result.entries = {entry_of(TxnId(0), {9, 9}, Sequence(1), "x"),
                    entry_of(TxnId(1), {9, 9}, Sequence(2), "y")};
  bench.reply(bench.take<FeedCall>(), result);
  bench.feed(TxnId(2), "z");
  EXPECT_EQ(bench.events.size(), 3u);
  bench.settle();
  EXPECT_EQ(bench.events, (Events{"gained 1", "apply 1/0", "apply 1/1", "apply 1/2"}));
}

// The others would wait out the patience of one that is gone; and a cluster that is gone must not hold up the end.
TEST(ClientMember, LeavesWithAWordAndWithoutOne) {
  Bench bench;
  bench.join();
  bench.assign({{kFirst, kEpoch, TxnId(0)}});
  bench.feed(TxnId(0), "x");
  bench.settle();
  std::vector<bool> left;
  EXPECT_TRUE(bench.client.leave("g", io::seconds(5), [&](bool known) { left.push_back(known); }));
  bench.client.pump();
  EXPECT_EQ(bench.assign({}).verb, ReaderGroupCall::Verb::leave);
  EXPECT_EQ(left, std::vector<bool>{true});
  EXPECT_EQ(bench.client.membership("g"), nullptr);
  bench.join();
  EXPECT_TRUE(bench.client.leave("g", io::seconds(5), [&](bool known) { left.push_back(known); }));
  bench.client.pump();
  bench.pass(io::seconds(6));
  EXPECT_EQ(left, (std::vector<bool>{true, false}));
  EXPECT_EQ(bench.client.membership("g"), nullptr);
}

// An application must hear that it will never get anything; a member that is refused must not ask for ever.
TEST(ClientMember, TellsOnceThatItIsRefused) {
  Bench bench;
  bench.join();
  CallError error;
  error.code = ErrorCode::unauthorized;
  error.text = "no rights";
  bench.reply(bench.take_report(), error);
  bench.pass(io::seconds(10));
  EXPECT_EQ(bench.events, Events{"failed no rights"});
  EXPECT_FALSE(bench.take_report().has_value());
}

// close() must not wait for a cluster that does not answer a member's leaving, beyond its time.
TEST(ClientMember, IsGoneWhenItsClientIsClosed) {
  Bench bench;
  bench.join();
  bench.assign({{kFirst, kEpoch, TxnId(0)}});
  bool closed = false;
  bench.client.close(io::seconds(2), [&] { closed = true; });
  bench.client.pump();
  EXPECT_FALSE(closed);
  bench.pass(io::seconds(3));
  EXPECT_TRUE(closed);
  EXPECT_TRUE(bench.client.closed());
}

}  // namespace
}  // namespace reel::client
