// The journal under random histories: appends to several groups, truncations, marks, completions in any
// order, killed processes and power losses at any moment, with any subset of what was not durable surviving,
// split sectors included.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

#include "node/journal/test_life.h"

namespace reel::journal {
namespace {

using Fate = TestDisk::Fate;

// One step of a history; what `a` and `b` mean depends on the verb, and every value means something.
struct Step {
  enum class Verb : std::uint8_t { append, truncate, pump, mark, complete, settle, power_loss, kill } verb{};
  std::uint32_t a = 0;
  std::uint32_t b = 0;
};

void showValue(const Step& step, std::ostream& out) {
  static constexpr const char* kNames[] = {"append",   "truncate", "pump",       "mark",
                                           "complete", "settle",   "power_loss", "kill"};
  out << kNames[static_cast<std::size_t>(step.verb)] << "(" << step.a << ", " << step.b << ")";
}

rc::Gen<Step> any_step() {
  const auto verb = rc::gen::weightedElement<Step::Verb>({{30, Step::Verb::append},
                                                          {4, Step::Verb::truncate},
                                                          {20, Step::Verb::pump},
                                                          {3, Step::Verb::mark},
                                                          {40, Step::Verb::complete},
                                                          {2, Step::Verb::settle},
                                                          {5, Step::Verb::power_loss},
                                                          {3, Step::Verb::kill}});
  return rc::gen::build<Step>(rc::gen::set(&Step::verb, verb),
                              rc::gen::set(&Step::a, rc::gen::arbitrary<std::uint32_t>()),
                              rc::gen::set(&Step::b, rc::gen::arbitrary<std::uint32_t>()));
}

// What the histories came across: a property that never sees a cut proves nothing about cuts.
struct Reached {
  std::uint64_t boots = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t survived = 0;
  std::uint64_t cut = 0;
  std::uint64_t rolls = 0;
};

// A history in progress: the life that runs, what it began with, and the highest LSN that any life handed
// out.
class History {
 public:
  History(const Options& options, Reached& reached) : options_(options), reached_(reached) {
    boot(TestDisk(formatted(options)));
  }

  void apply(const Step& step) {
    const GroupId group(1 + step.a % 3);
    switch (step.verb) {
      case Step::Verb::append: life_->append(group, step.b % 9000); break;
      case Step::Verb::truncate:
        if (const auto log = life_->logs.find(group); log != life_->logs.end()) {
          life_->truncate(group, Index(1 + step.b % log->second.size()));
        }
        break;
      case Step::Verb::pump: life_->pump(); break;
      case Step::Verb::mark:
        life_->journal->mark_synced(life_->queue);
        life_->disk.take(life_->queue);
        break;
      case Step::Verb::complete:
        if (life_->disk.pending() > 0) life_->finish(step.a % life_->disk.pending());
        break;
      case Step::Verb::settle: life_->settle(); break;
      case Step::Verb::power_loss: reboot(TestDisk(life_->disk.crash(fates(step)))); break;
      case Step::Verb::kill: {
        TestDisk disk = std::move(life_->disk);
        disk.kill();
        reboot(std::move(disk));
        break;
      }
    }
    RC_ASSERT(life_->journal->durable() <= life_->journal->last());
    RC_ASSERT(!life_->journal->failed());
  }
  void lose_power() { apply({Step::Verb::power_loss, 12345, 6789}); }

 private:
  // Mostly lost or mostly kept, or half and half, by the step's own numbers.
  std::vector<Fate> fates(const Step& step) const {
    std::vector<Fate> fates;
    for (std::size_t i = 0; i < life_->disk.units().size(); ++i) {
      const std::uint64_t draw = io::keyed_hash(step.a, {step.b, i}) % 8;
      const std::uint64_t kept_below = 1 + step.b % 8;
      fates.push_back(draw < kept_below ? Fate::kept : draw == 7 ? Fate::garbage : Fate::lost);
      if (life_->disk.units()[i].kind != TestDisk::Unit::Kind::write && fates.back() == Fate::garbage) {
        fates.back() = Fate::lost;
      }
    }
    return fates;
  }

  // The new life must have exactly a prefix of what the old one wrote, and at least what was acknowledged.
  void reboot(TestDisk disk) {
    const std::vector<TestRecord> written = std::move(life_->written);
    const Lsn durable = life_->journal->durable();
    const Lsn used = life_->journal->last();
    Logs expected = before_;
    boot(std::move(disk));
    RC_ASSERT(life_->recovered.next_lsn > used);
    std::size_t acknowledged = 0;
    while (acknowledged < written.size() && written[acknowledged].lsn <= durable) {
      replay(expected, written[acknowledged++]);
    }
    bool legal = expected == life_->logs;
    std::size_t survived = 0;
    while (!legal && acknowledged + survived < written.size()) {
      replay(expected, written[acknowledged + survived++]);
      legal = expected == life_->logs;
    }
    RC_ASSERT(legal);
    ++reached_.boots;
    reached_.acknowledged += acknowledged;
    reached_.survived += survived;
    reached_.cut += life_->recovered.cut_records;
    reached_.rolls += life_->recovered.files.size() - 1;
    for (const auto& [group, log] : life_->logs) {
      for (const EntryIdentity& identity : log) RC_ASSERT(life_->read(group, identity).has_value());
    }
  }

  void boot(TestDisk disk) {
    life_.emplace(std::move(disk), options_, ++incarnation_);
    if (life_->error) RC_FAIL(life_->error->text);
    before_ = life_->logs;
  }

  Options options_;
  Reached& reached_;
  std::optional<Life> life_;
  Logs before_;
  std::uint64_t incarnation_ = 0;
};

constexpr int kHistories = 8'000;
constexpr int kStepsMax = 250;
constexpr std::uint64_t kSeed = 4;

// Could any crash image recover to something that was never the log, or to less than was acknowledged?
TEST(JournalProperty, AnyCrashImageRecoversToALegalPrefix) {
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  if (std::getenv("RC_PARAMS") ==
      nullptr) {  // the same histories in every run; RC_PARAMS="seed=…" explores others
    params.seed = kSeed;
    params.maxSuccess = kHistories;
    params.maxSize = kStepsMax;
  }
  rc::detail::TestMetadata metadata;
  metadata.id = "journal";
  Reached reached;
  const auto result = rc::detail::checkTestable(
      [&] {
        Options options = small_options();
        options.identity_sectors = *rc::gen::element(2u, 3u, 5u, 12u, 40u);
        options.batches_in_flight_max = *rc::gen::inRange(1u, 7u);
        options.batch_records_max = *rc::gen::element(1u, 2u, 48u);
        options.batch_bytes_max = *rc::gen::element(4096u, 40'000u);
        options.syncs_in_flight_max = *rc::gen::inRange(1u, 4u);
        options.files_ahead = *rc::gen::inRange(0u, 3u);
        const auto steps = *rc::gen::container<std::vector<Step>>(any_step());
        History history(options, reached);
        for (const Step& step : steps) history.apply(step);
        history.lose_power();
      },
      metadata, params);
  if (!result.is<rc::detail::SuccessResult>()) {
    std::ostringstream text;
    rc::detail::printResultMessage(result, text);
    ADD_FAILURE() << text.str();
  }
  std::cout << reached.boots << " boots, " << reached.acknowledged << " records acknowledged, "
            << reached.survived << " survived unacknowledged, " << reached.cut << " cut, " << reached.rolls
            << " files made\n";
  EXPECT_GT(reached.acknowledged, 1000u);
  EXPECT_GT(reached.survived, 1000u);
  EXPECT_GT(reached.cut, 1000u);
  EXPECT_GT(reached.rolls, 1000u);
}

}  // namespace
}  // namespace reel::journal
