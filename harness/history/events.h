// Events of a history, out of a text that some system wrote: who called what, and what became of it.
//
// Formats:
//   jsonl   an object a line: {"process": 0, "type": "invoke", "f": "write", "key": "x", "value": 1}. `type` is invoke, ok, fail
//           (it did not happen) or info (nobody knows); `key`, `value` and, for a log, `id` are given where they mean something.
//           Everything else is ignored. Empty lines are skipped.
//   edn     the same as maps, which is what Jepsen stores: one behind the other, or in one vector.
//   jepsen-log  the lines that Jepsen prints: anything, then process, type, f and value divided by tabs. Lines without a tab and
//           a ':' behind it are no events.
// Events stand in the order in which they happened. A process is a number from 0 on; those of others (`:nemesis`) are skipped.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "harness/history/form.h"

namespace reel::harness {

enum class HistoryFormat : std::uint8_t { jsonl, edn, jepsen_log };
[[nodiscard]] const char* name_of(HistoryFormat format);
// By its first characters.
[[nodiscard]] HistoryFormat guess_format(std::string_view text);

enum class EventType : std::uint8_t { invoke, ok, fail, info };
[[nodiscard]] const char* name_of(EventType type);

struct Event {
  std::uint64_t line = 0;
  EventType type{};
  std::uint64_t process = 0;
  std::string_view f;
  const Form* key = nullptr;    // nullptr: not given
  const Form* value = nullptr;  // likewise
  const Form* id = nullptr;     // likewise
};

struct Malformed {
  std::uint64_t line = 0;
  std::string reason;
};

struct EventCount {
  std::uint64_t events = 0;   // handed to the sink
  std::uint64_t skipped = 0;  // of no client, or lines of a log that are no events
};

// The sink says what is wrong with an event, if anything, which ends the reading. What the event refers to is valid only
// meanwhile. Cost: linear; memory: the largest event.
using EventSink = std::function<std::optional<std::string>(const Event&, const Forms&)>;
[[nodiscard]] std::expected<EventCount, Malformed> read_events(std::string_view text, HistoryFormat format,
                                                               const EventSink& sink);

}  // namespace reel::harness
