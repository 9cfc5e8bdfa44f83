#include "node/admission.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace reel::node {
namespace {

constexpr std::uint64_t kBlock = 10'000 - Admission::kCallBytes;

SessionId session(std::uint64_t number) { return {number, number}; }
io::Instant at(std::int64_t ms) { return io::Instant{} + io::milliseconds(ms); }

AdmissionOptions small() {
  AdmissionOptions options;
  options.bytes_max = 1'000'000;
  options.bytes_min = 50'000;
  options.calls_max = 1000;
  return options;
}

// A queue that drains `bytes_a_second`, one call at a time, and whose clients offer what they are told to.
struct Queue {
  explicit Queue(const AdmissionOptions& options, std::uint64_t bytes_a_second)
      : admission(options), each{static_cast<std::int64_t>(10'000 * 1'000'000'000ull / bytes_a_second)} {}

  bool offer(std::uint64_t from, io::Instant now) {
    drain(now);
    if (queue.empty()) next = now + each;
    retry = admission.refuses(session(from), kBlock, now);
    if (!retry) queue.push_back({from, now});
    return !retry;
  }
  void drain(io::Instant now) {
    while (!queue.empty() && next <= now) {
      longest = std::max(longest, next - queue.front().since);
      ++served[queue.front().from];
      admission.release(session(queue.front().from), kBlock, next);
      queue.pop_front();
      next = next + each;
    }
  }

  struct Waiting {
    std::uint64_t from;
    io::Instant since;
  };
  Admission admission;
  io::Duration each;
  std::deque<Waiting> queue;
  io::Instant next;
  std::optional<io::Duration> retry;
  io::Duration longest{};
  std::map<std::uint64_t, int> served;
};

// Bytes that are taken and never given back would close the door for ever.
TEST(Admission, GivesBackWhatItTook) {
  Admission admission(small());
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < 4; ++i) ASSERT_FALSE(admission.refuses(session(i), kBlock, at(round)));
    EXPECT_EQ(admission.bytes(), 40'000u);
    EXPECT_EQ(admission.sessions(), 4u);
    for (int i = 0; i < 4; ++i) admission.release(session(i), kBlock, at(round));
    EXPECT_EQ(admission.bytes(), 0u);
    EXPECT_EQ(admission.calls(), 0u);
    EXPECT_EQ(admission.sessions(), 0u);
  }
  ASSERT_FALSE(admission.refuses(session(1), kBlock, at(1000)));
  admission.clear();
  EXPECT_EQ(admission.bytes(), 0u);
  EXPECT_EQ(admission.sessions(), 0u);
}

// A call above every limit must not wait for room that never comes.
TEST(Admission, TakesAnyCallIntoAnEmptyQueueAndNoSecond) {
  Admission admission(small());
  EXPECT_FALSE(admission.refuses(session(1), 5'000'000, at(0)));
  EXPECT_TRUE(admission.refuses(session(2), 1, at(0)));
  admission.release(session(1), 5'000'000, at(0));
  EXPECT_FALSE(admission.refuses(session(2), 1, at(0)));
}

// What may wait is bounded in bytes and in calls, however it is asked for.
TEST(Admission, NeverHoldsMoreThanItsLimits) {
  Admission admission(small());
  for (std::uint64_t i = 0; i < 1000; ++i) {
    (void)admission.refuses(session(i), kBlock, at(0));
    ASSERT_LE(admission.bytes(), small().bytes_min);
  }
  EXPECT_GE(admission.bytes(), small().bytes_min - 10'000);
  Queue fast(small(), 100'000'000);
  for (std::int64_t ms = 0; ms < 1000; ++ms) {
    for (int i = 0; i < 30; ++i) (void)fast.offer(ms * 30 + i, at(ms));
    ASSERT_LE(fast.admission.bytes(), small().bytes_max);
  }
  EXPECT_EQ(fast.admission.limit(), small().bytes_max);
  AdmissionOptions options = small();
  options.calls_max = 7;
  Admission few(options);
  for (std::uint64_t i = 0; i < 100; ++i) (void)few.refuses(session(i), 1, at(0));
  EXPECT_EQ(few.calls(), 7u);
}

// A queue that is long in time makes its clients give up: then all work is done for nobody.
TEST(Admission, BoundsTheTimeInTheQueueAtAnyRate) {
  for (const std::uint64_t rate : {400'000u, 1'000'000u, 4'000'000u}) {
    Queue queue(small(), rate);
    for (std::int64_t ms = 0; ms < 3000; ++ms) {
      for (std::uint64_t i = 0; i < 3 * rate / 10'000'000 + 1; ++i) (void)queue.offer(ms % 50, at(ms));
    }
    queue.longest = {};
    std::map<std::uint64_t, int> before;
    before.swap(queue.served);
    for (std::int64_t ms = 3000; ms < 6000; ++ms) {
      for (std::uint64_t i = 0; i < 3 * rate / 10'000'000 + 1; ++i) (void)queue.offer(ms % 50, at(ms));
    }
    EXPECT_LE(queue.longest, io::milliseconds(260)) << rate;
    EXPECT_GE(queue.admission.rate(), rate * 8 / 10) << rate;
    EXPECT_LE(queue.admission.rate(), rate * 12 / 10) << rate;
    int served = 0;
    for (const auto& [from, count] : queue.served) served += count;
    EXPECT_GE(served, static_cast<int>(rate / 10'000 * 3 * 95 / 100)) << "it never runs empty";
  }
}

// A burst into an idle queue, or load below what it drains, is no overload.
TEST(Admission, RefusesNothingThatDrains) {
  Queue queue(small(), 1'000'000);
  for (std::int64_t ms = 0; ms < 20'000; ms += 50) {
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_TRUE(queue.offer(i, at(ms))) << ms;
  }
  EXPECT_EQ(queue.admission.refused(), 0u);
}

// A client that asks all the time must not keep out one that asks now and then.
TEST(Admission, GreedySessionsLeaveRoomForTheOthers) {
  Queue queue(small(), 1'000'000);
  int refused = 0;
  for (std::int64_t ms = 0; ms < 10'000; ++ms) {
    for (std::uint64_t greedy = 1; greedy <= 3; ++greedy) {
      for (int i = 0; i < 10; ++i) (void)queue.offer(greedy, at(ms));
    }
    if (ms == 1000) queue.served.clear();  // by then it knows its rate
    if (ms >= 1000 && ms % 200 == 0) refused += queue.offer(99, at(ms)) ? 0 : 1;
  }
  EXPECT_EQ(refused, 0);
  queue.drain(at(20'000));
  EXPECT_EQ(queue.served[99], 45);
  for (std::uint64_t greedy = 2; greedy <= 3; ++greedy) {
    EXPECT_GE(queue.served[greedy] * 2, queue.served[1]) << "though the first one always asks first";
  }
}

// While nothing drains the door closes: who comes then would wait for no one knows how long.
TEST(Admission, ClosesWhileNothingDrainsAndOpensAgain) {
  Queue queue(small(), 4'000'000);
  EXPECT_EQ(queue.admission.limit(), small().bytes_min) << "nothing is known yet";
  std::int64_t ms = 0;
  for (; ms < 500; ++ms) (void)queue.offer(ms % 50, at(ms)), (void)queue.offer(50, at(ms));
  EXPECT_GE(queue.admission.limit(), 600'000u);
  Admission& admission = queue.admission;
  for (; ms < 2000; ++ms) (void)admission.refuses(session(ms), kBlock, at(ms));
  EXPECT_EQ(admission.limit(), small().bytes_min);
  queue.next = at(ms);
  for (; ms < 2500; ++ms) queue.drain(at(ms));
  EXPECT_GE(admission.limit(), 600'000u);
}

// Refused clients that all come back at once would be refused again, all but a few.
TEST(Admission, TellsEachRefusedCallATimeOfItsOwn) {
  Queue queue(small(), 1'000'000);
  for (std::int64_t ms = 0; ms < 2000; ++ms) (void)queue.offer(ms % 7, at(ms)), (void)queue.offer(8, at(ms));
  std::int64_t last = 0;
  std::vector<std::int64_t> gaps;
  for (std::uint64_t i = 0; i < 50; ++i) {
    if (queue.offer(100, at(2000))) continue;
    const std::int64_t retry = queue.retry->ns;
    EXPECT_LE(retry, (small().delay_target * 4).ns);
    EXPECT_GE(retry, last);
    if (last != 0 && retry < (small().delay_target * 4).ns) gaps.push_back(retry - last);
    last = retry;
  }
  for (const std::int64_t gap : gaps) EXPECT_NEAR(static_cast<double>(gap), 1e7, 2e6);
  // Long after the load has ended, nothing of its appointments is left.
  queue.drain(at(60'000));
  Admission& admission = queue.admission;
  ASSERT_FALSE(admission.refuses(session(1), 999'999, at(60'000)));
  const auto retry = admission.refuses(session(2), kBlock, at(60'000));
  ASSERT_TRUE(retry);
  EXPECT_LE(*retry, io::milliseconds(700));
}

}  // namespace
}  // namespace reel::node
