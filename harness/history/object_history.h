// A history of single operations (registers, a key-value store, a log), from its events to what the checker of linearizability
// takes. Operations are numbered from 0 in the order of their invocations; times are events, counted from 1.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/history/events.h"
#include "harness/history/rules.h"
#include "harness/history/value_names.h"
#include "model/history.h"
#include "model/key_value.h"

namespace reel::harness {

// Where an operation stands in the file.
struct Source {
  std::uint32_t key = 0;  // by number
  std::uint64_t invoked_line = 0;
  std::uint64_t ended_line = 0;  // 0: it has no outcome
  bool counts = true;            // false: it constrains nothing, or did not happen
};

class ObjectHistory {
 public:
  // A sentence if the initial value is none.
  [[nodiscard]] static std::optional<std::string> problem_with(const HistoryRules& rules);
  explicit ObjectHistory(const HistoryRules& rules);

  // An EventSink: what is wrong with the event, if anything.
  [[nodiscard]] std::optional<std::string> take(const Event& event, const Forms& forms);
  // Behind the last event.
  void finish();

  const HistoryRules& rules() const { return rules_; }
  std::size_t size() const { return operations_.size(); }
  const std::vector<model::Operation>& operations() const { return operations_; }
  const Source& source(std::uint32_t operation) const { return sources_[operation]; }
  std::size_t keys() const { return key_names_.size(); }
  std::string key_name(std::uint32_t key) const { return names_.text(key_names_[key]); }

  std::uint64_t initial_value() const { return initial_; }                        // registers
  const model::KeyValueStrings& strings() const { return strings_; }              // kv; 0: the initial one
  std::string_view string(std::uint64_t number) const { return texts_[number]; }  // kv
  // log: what a read showed.
  const std::vector<std::uint64_t>& seen(const model::Operation& read) const {
    return lists_[read.input.first];
  }

  // "process 3 wrote 4": what it asked for and, if it returned, got.
  [[nodiscard]] std::string describe(const model::Operation& operation) const;
  // "line 12", "lines 12 to 15", "line 12, no outcome".
  [[nodiscard]] std::string lines(std::uint32_t operation) const;
  [[nodiscard]] std::string value_text(std::uint64_t value) const { return names_.text(value); }

 private:
  using Problem = std::optional<std::string>;
  struct Parts {  // of an event's value
    const Form* key = nullptr;
    const Form* value = nullptr;
  };
  struct Pending {
    std::uint32_t operation;
    std::uint64_t line;
    std::string f;
  };

  Problem split(const Event& event, const Forms& forms, Parts& parts) const;
  Problem invoke(const Event& event, const Forms& forms);
  Problem complete(const Event& event, const Forms& forms, std::uint32_t at);
  Problem take_input(std::string_view f, const Form* value, const Forms& forms, model::Operation& operation);
  Problem take_register_input(std::string_view f, const Form* value, const Forms& forms,
                              model::Operation& operation);
  Problem take_kv_input(std::string_view f, const Form* value, const Forms& forms,
                        model::Operation& operation);
  Problem take_log_input(std::string_view f, const Form* value, const Forms& forms,
                         model::Operation& operation);
  Problem take_output(const Event& event, const Form* value, const Forms& forms, std::uint32_t at);
  Problem take_register_output(const Form* value, const Forms& forms, std::uint32_t at);
  Problem take_kv_output(const Form* value, const Forms& forms, std::uint32_t at);
  Problem take_log_output(const Event& event, const Form* value, const Forms& forms, std::uint32_t at);
  void take_failure(const Form* value, const Forms& forms, std::uint32_t at);
  std::uint32_t key_of(const Form* key, const Forms& forms);
  std::uint64_t add_string(std::string text);

  HistoryRules rules_;
  ValueNames names_;
  std::vector<model::Operation> operations_;
  std::vector<Source> sources_;
  std::vector<std::uint64_t> key_names_;
  std::unordered_map<std::uint64_t, std::uint32_t> keys_;  // by name
  std::unordered_map<std::uint64_t, Pending> pending_;     // by process
  std::uint64_t events_ = 0;
  std::uint64_t initial_ = ValueNames::kNil;
  model::KeyValueStrings strings_;
  std::deque<std::string> texts_;  // of strings_
  std::vector<std::vector<std::uint64_t>> lists_;
};

}  // namespace reel::harness
