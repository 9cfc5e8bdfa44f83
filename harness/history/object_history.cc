#include "harness/history/object_history.h"

#include <utility>

#include "model/sequential.h"

namespace reel::harness {
namespace {

namespace kv = model::key_value_verb;
namespace log_verb = model::log_verb;
namespace reg = model::register_verb;
using model::Operation;

bool is_nil(const Form* form) { return form == nullptr || form->kind == Form::Kind::nil; }

std::string string_of(const Form& form, const Forms& forms) {
  return form.kind == Form::Kind::string ? std::string(form.text) : text_of(form, forms, true);
}

std::string shortened(std::string_view text) {
  constexpr std::size_t kShown = 60;
  if (text.size() <= kShown) return "\"" + std::string(text) + "\"";
  return "\"..." + std::string(text.substr(text.size() - kShown)) + "\"";
}

// The initial value, if it is well-formed.
std::optional<Form> initial_of(const HistoryRules& rules, Forms& forms) {
  for (const Notation notation : {Notation::edn, Notation::json}) {
    FormReader reader(rules.initial, notation);
    std::optional<Form> form = reader.read(forms);
    if (form && reader.at_end()) return form;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> ObjectHistory::problem_with(const HistoryRules& rules) {
  Forms forms;
  if (rules.initial.empty() || initial_of(rules, forms)) return std::nullopt;
  return "the initial value '" + rules.initial + "' is no value of EDN or JSON; a string needs its quotes";
}

ObjectHistory::ObjectHistory(const HistoryRules& rules) : rules_(rules) {
  Forms forms;
  const std::optional<Form> initial =
      rules.initial.empty() ? std::optional<Form>() : initial_of(rules, forms);
  if (initial) initial_ = names_.number_of(*initial, forms);
  (void)add_string(initial && !is_nil(&*initial) ? string_of(*initial, forms) : std::string());
}

std::uint64_t ObjectHistory::add_string(std::string text) {
  texts_.push_back(std::move(text));
  return strings_.add(texts_.back());
}

std::uint32_t ObjectHistory::key_of(const Form* key, const Forms& forms) {
  const std::uint64_t name = key == nullptr ? ValueNames::kNil : names_.number_of(*key, forms);
  const auto [found, added] = keys_.try_emplace(name, static_cast<std::uint32_t>(key_names_.size()));
  if (added) key_names_.push_back(name);
  return found->second;
}

std::optional<std::string> ObjectHistory::take(const Event& event, const Forms& forms) {
  ++events_;
  const auto found = pending_.find(event.process);
  const std::string process = "process " + std::to_string(event.process);
  if (event.type == EventType::invoke) {
    if (found != pending_.end()) {
      return process + " invokes although what it invoked in line " + std::to_string(found->second.line) +
             " has no outcome";
    }
    return invoke(event, forms);
  }
  if (found == pending_.end()) {
    return process + " has an outcome, " + name_of(event.type) + ", of nothing that it invoked";
  }
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  if (pending.f != event.f) {
    return process + " invoked " + pending.f + " in line " + std::to_string(pending.line) +
           ", and this is the outcome of " + std::string(event.f);
  }
  return complete(event, forms, pending.operation);
}

ObjectHistory::Problem ObjectHistory::split(const Event& event, const Forms& forms, Parts& parts) const {
  parts = {event.key, event.value};
  if (!rules_.key_in_value) return std::nullopt;
  if (is_nil(event.value) && event.type != EventType::invoke && event.type != EventType::ok)
    return std::nullopt;
  if (event.value == nullptr || event.value->kind != Form::Kind::list || event.value->count != 2) {
    // What comes with a failure may be its reason.
    if (event.type == EventType::fail || event.type == EventType::info) return std::nullopt;
    return "its value is not [key value]";
  }
  const std::span<const Form> both = forms.parts(*event.value);
  parts = {&both[0], &both[1]};
  return std::nullopt;
}

ObjectHistory::Problem ObjectHistory::invoke(const Event& event, const Forms& forms) {
  if (operations_.size() >= UINT32_MAX - 1) return "it has more than 2^32 - 2 operations";
  Parts parts;
  if (Problem problem = split(event, forms, parts)) return problem;
  Operation operation;
  operation.process = event.process;
  operation.call = events_;
  Source source;
  source.invoked_line = event.line;
  source.key = key_of(parts.key, forms);
  operation.input.second = source.key;
  if (Problem problem = take_input(event.f, parts.value, forms, operation)) return problem;
  pending_.emplace(event.process,
                   Pending{static_cast<std::uint32_t>(operations_.size()), event.line, std::string(event.f)});
  operations_.push_back(operation);
  sources_.push_back(source);
  return std::nullopt;
}

ObjectHistory::Problem ObjectHistory::take_input(std::string_view f, const Form* value, const Forms& forms,
                                                 Operation& operation) {
  switch (rules_.model) {
    case CheckModel::reg:
    case CheckModel::cas_register: return take_register_input(f, value, forms, operation);
    case CheckModel::kv: return take_kv_input(f, value, forms, operation);
    default: return take_log_input(f, value, forms, operation);
  }
}

ObjectHistory::Problem ObjectHistory::take_register_input(std::string_view f, const Form* value,
                                                          const Forms& forms, Operation& operation) {
  operation.input = {};
  if (f == "read" || f == "r") {
    operation.verb = reg::kRead;
    return std::nullopt;
  }
  if (f == "write" || f == "w") {
    operation.verb = reg::kWrite;
    if (value == nullptr) return "a write has no value";
    operation.input.first = names_.number_of(*value, forms);
    return std::nullopt;
  }
  const bool cas = f == "cas" && rules_.model == CheckModel::cas_register;
  if (!cas) return std::string(name_of(rules_.model)) + " has no operation '" + std::string(f) + "'";
  if (value == nullptr || value->kind != Form::Kind::list || value->count != 2) {
    return "the value of a cas must be [from to]";
  }
  const std::span<const Form> both = forms.parts(*value);
  operation.verb = reg::kCas;
  operation.input.first = names_.number_of(both[0], forms);
  operation.input.second = names_.number_of(both[1], forms);
  return std::nullopt;
}

ObjectHistory::Problem ObjectHistory::take_kv_input(std::string_view f, const Form* value, const Forms& forms,
                                                    Operation& operation) {
  if (f == "get" || f == "read") {
    operation.verb = kv::kGet;
    return std::nullopt;
  }
  if (f != "put" && f != "write" && f != "append") return "kv has no operation '" + std::string(f) + "'";
  operation.verb = f == "append" ? kv::kAppend : kv::kPut;
  if (is_nil(value)) return "a " + std::string(f) + " has no value";
  operation.input.first = add_string(string_of(*value, forms));
  return std::nullopt;
}

ObjectHistory::Problem ObjectHistory::take_log_input(std::string_view f, const Form* value,
                                                     const Forms& forms, Operation& operation) {
  operation.input = {};
  if (f == "append") {
    operation.verb = log_verb::kAppend;
    if (value == nullptr) return "an append has no value";
    operation.input.first = names_.number_of(*value, forms);
  } else if (f == "high-water") {
    operation.verb = log_verb::kHighWater;
  } else if (f == "read") {
    operation.verb = log_verb::kPrefix;
  } else {
    return "log has no operation '" + std::string(f) + "'";
  }
  return std::nullopt;
}

ObjectHistory::Problem ObjectHistory::complete(const Event& event, const Forms& forms, std::uint32_t at) {
  Operation& operation = operations_[at];
  Parts parts;
  if (Problem problem = split(event, forms, parts)) return problem;
  const bool keyed = rules_.key_in_value ? parts.key != nullptr : event.key != nullptr;
  if (keyed && key_of(parts.key, forms) != sources_[at].key) return "its key is not the one that was invoked";
  sources_[at].ended_line = event.line;
  switch (event.type) {
    case EventType::invoke: break;
    case EventType::ok: operation.returned = events_; return take_output(event, parts.value, forms, at);
    case EventType::fail:
      operation.returned = events_;
      take_failure(parts.value, forms, at);
      return std::nullopt;
    case EventType::info: sources_[at].ended_line = 0; break;
  }
  return std::nullopt;
}

// Only a failed compare-and-set may tell something, and only if its value is not the reason why it failed.
void ObjectHistory::take_failure(const Form* value, const Forms& forms, std::uint32_t at) {
  Operation& operation = operations_[at];
  const bool compared = rules_.model == CheckModel::cas_register && operation.verb == reg::kCas &&
                        rules_.failed_cas == FailedCas::evidence;
  Operation again;
  const bool plain =
      is_nil(value) || (value->kind == Form::Kind::list && !take_register_input("cas", value, forms, again) &&
                        again.input == operation.input);
  sources_[at].counts = compared && plain;
  operation.output = {};
}

ObjectHistory::Problem ObjectHistory::take_output(const Event& event, const Form* value, const Forms& forms,
                                                  std::uint32_t at) {
  switch (rules_.model) {
    case CheckModel::reg:
    case CheckModel::cas_register: return take_register_output(value, forms, at);
    case CheckModel::kv: return take_kv_output(value, forms, at);
    default: return take_log_output(event, value, forms, at);
  }
}

ObjectHistory::Problem ObjectHistory::take_register_output(const Form* value, const Forms& forms,
                                                           std::uint32_t at) {
  Operation& operation = operations_[at];
  if (operation.verb == reg::kRead) {
    if (is_nil(value) && rules_.nil == NilRead::any) {
      sources_[at].counts = false;
      return std::nullopt;
    }
    operation.output.first = value == nullptr ? ValueNames::kNil : names_.number_of(*value, forms);
    return std::nullopt;
  }
  operation.output.first = 1;
  if (is_nil(value)) return std::nullopt;
  Operation again;
  const char* f = operation.verb == reg::kCas ? "cas" : "write";
  if (Problem problem = take_register_input(f, value, forms, again)) return problem;
  if (again.input != operation.input) return "its value is not the one that was invoked";
  return std::nullopt;
}

ObjectHistory::Problem ObjectHistory::take_kv_output(const Form* value, const Forms& forms,
                                                     std::uint32_t at) {
  Operation& operation = operations_[at];
  if (operation.verb == kv::kGet) {
    if (is_nil(value)) {
      sources_[at].counts = rules_.nil == NilRead::absent;
      operation.output.first = 0;
    } else {
      operation.output.first = add_string(string_of(*value, forms));
    }
    return std::nullopt;
  }
  if (!is_nil(value) && string_of(*value, forms) != texts_[operation.input.first]) {
    return "its value is not the one that was invoked";
  }
  return std::nullopt;
}

ObjectHistory::Problem ObjectHistory::take_log_output(const Event& event, const Form* value,
                                                      const Forms& forms, std::uint32_t at) {
  Operation& operation = operations_[at];
  const auto natural = [](const Form* form) {
    return form != nullptr && form->kind == Form::Kind::integer && form->integer >= 0;
  };
  switch (operation.verb) {
    case log_verb::kAppend:
      if (!natural(event.id)) return "an append that returned must tell its id, a number from 0 on";
      if (!is_nil(value) && names_.number_of(*value, forms) != operation.input.first) {
        return "its value is not the one that was invoked";
      }
      operation.output.first = static_cast<std::uint64_t>(event.id->integer);
      return std::nullopt;
    case log_verb::kHighWater:
      if (!natural(value)) return "a high-water mark must be a number from 0 on";
      operation.output.first = static_cast<std::uint64_t>(value->integer);
      return std::nullopt;
    default: break;
  }
  if (value == nullptr || value->kind != Form::Kind::list) {
    return "a read must show the list of all values from the first on";
  }
  std::vector<std::uint64_t> list;
  std::uint64_t digest = 0;
  for (const Form& part : forms.parts(*value)) {
    list.push_back(names_.number_of(part, forms));
    digest = model::log_digest(digest, list.back());
  }
  operation.input.first = lists_.size();
  operation.output = {list.size(), digest};
  lists_.push_back(std::move(list));
  return std::nullopt;
}

void ObjectHistory::finish() {
  pending_.clear();
  if (rules_.unknown == UnknownOutcome::maybe) return;
  for (std::size_t at = 0; at < operations_.size(); ++at) {
    if (operations_[at].open()) sources_[at].counts = false;
  }
}

std::string ObjectHistory::describe(const Operation& operation) const {
  const std::string who = "process " + std::to_string(operation.process) + " ";
  const bool done = !operation.open();
  const auto value = [this](std::uint64_t number) { return names_.text(number); };
  if (rules_.model == CheckModel::kv) {
    const std::string key = " key " + key_name(static_cast<std::uint32_t>(operation.input.second));
    if (operation.verb == kv::kGet) {
      return who + "got" + key + (done ? " as " + shortened(texts_[operation.output.first]) : "");
    }
    return who + (operation.verb == kv::kPut ? "put " : "appended ") +
           shortened(texts_[operation.input.first]) + (operation.verb == kv::kPut ? " into" : " to") + key;
  }
  if (rules_.model == CheckModel::log) {
    switch (operation.verb) {
      case log_verb::kAppend:
        return who + "appended " + value(operation.input.first) +
               (done ? " as " + std::to_string(operation.output.first) : "");
      case log_verb::kHighWater:
        return who + "got the high-water mark " + std::to_string(operation.output.first);
      default: return who + "read the first " + std::to_string(operation.output.first) + " values";
    }
  }
  switch (operation.verb) {
    case reg::kWrite: return who + "wrote " + value(operation.input.first);
    case reg::kRead: return who + "read" + (done ? " " + value(operation.output.first) : "");
    default: break;
  }
  const std::string change = value(operation.input.first) + " to " + value(operation.input.second);
  if (!done) return who + "tried to change " + change;
  return who + (operation.output.first == 1 ? "changed " : "failed to change ") + change;
}

std::string ObjectHistory::lines(std::uint32_t operation) const {
  const Source& source = sources_[operation];
  const std::string from = std::to_string(source.invoked_line);
  if (source.ended_line == 0) return "line " + from + ", no outcome";
  if (source.ended_line == source.invoked_line) return "line " + from;
  return "lines " + from + " and " + std::to_string(source.ended_line);
}

}  // namespace reel::harness
