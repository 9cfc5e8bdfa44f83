// A history comes from another system's log, cut short, mixed up or written by hand. Whatever the text: refused with a line that is
// in it and a reason, or judged without running wild; and what is judged to be legal or illegal is so again.
//
// input: byte 0: the model (bits 0 to 2, modulo 6), the format (bits 3 and 4, modulo 3), nil, failed cas, and whether keys stand in
// values; the rest is the text.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "harness/history/judge.h"
#include "io/ports/assert.h"

namespace {
using namespace reel;

// Small: what matters here is reading.
constexpr std::uint64_t kStepsMax = 20'000;

void check_refusal(const harness::Malformed& malformed, std::string_view text) {
  const auto lines = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  REEL_CHECK(!malformed.reason.empty() && malformed.line >= 1 && malformed.line <= lines);
}

template <class History>
bool read(History& history, std::string_view text, harness::HistoryFormat format) {
  const auto count =
      harness::read_events(text, format, [&](const harness::Event& event, const harness::Forms& forms) {
        REEL_CHECK(event.line >= 1 && !event.f.empty());
        return history.take(event, forms);
      });
  history.finish();
  if (!count) check_refusal(count.error(), text);
  return count.has_value();
}

void check_objects(const harness::HistoryRules& rules, std::string_view text, harness::HistoryFormat format) {
  harness::ObjectHistory history(rules);
  if (!read(history, text, format)) return;
  for (std::uint32_t at = 0; at < history.size(); ++at) {
    const model::Operation& operation = history.operations()[at];
    REEL_CHECK(operation.call >= 1 && operation.call < operation.returned);
    REEL_CHECK(!history.describe(operation).empty() && !history.lines(at).empty());
  }
  harness::JudgeOptions options;
  options.steps_max = kStepsMax;
  const harness::Judgement one = harness::judge(history, options);
  REEL_CHECK((one.verdict == model::Verdict::unknown) == !one.why_unknown.empty());
  REEL_CHECK((one.verdict == model::Verdict::illegal) == one.first_bad.has_value());
  if (rules.model != harness::CheckModel::kv || one.verdict == model::Verdict::unknown) return;
  options.by_key = false;  // as one object: the same verdict, another way
  const harness::Judgement other = harness::judge(history, options);
  REEL_CHECK(other.verdict == model::Verdict::unknown || other.verdict == one.verdict);
  REEL_CHECK(other.verdict == model::Verdict::unknown || other.first_bad == one.first_bad);
}

void check_transactions(const harness::HistoryRules& rules, std::string_view text,
                        harness::HistoryFormat format) {
  harness::TransactionHistory history(rules);
  if (!read(history, text, format)) return;
  model::TransactionCheckOptions options;
  options.steps_max = kStepsMax;
  const auto judgement = harness::judge(history, model::Isolation::strict_serializable, options);
  if (!judgement) {
    REEL_CHECK(!judgement.error().empty());
    return;
  }
  REEL_CHECK(judgement->report.found == 0 || judgement->verdict == model::Verdict::illegal);
  for (const model::AnomalyReport& each : judgement->report.anomalies) REEL_CHECK(!each.text.empty());
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const unsigned choices = data[0];
  harness::HistoryRules rules;
  rules.model = static_cast<harness::CheckModel>((choices & 7) % harness::kCheckModels);
  const auto format = static_cast<harness::HistoryFormat>((choices >> 3 & 3) % 3);
  rules.nil = (choices & 32) != 0 ? harness::NilRead::any : harness::NilRead::absent;
  rules.failed_cas = (choices & 64) != 0 ? harness::FailedCas::ignored : harness::FailedCas::evidence;
  rules.key_in_value = (choices & 128) != 0;
  if (harness::is_transactional(rules.model)) {
    check_transactions(rules, text, format);
  } else {
    check_objects(rules, text, format);
  }
  return 0;
}
