#include "harness/history/events.h"

#include <algorithm>
#include <utility>

namespace reel::harness {
namespace {

std::optional<EventType> type_of(std::string_view name) {
  for (const EventType type : {EventType::invoke, EventType::ok, EventType::fail, EventType::info}) {
    if (name == name_of(type)) return type;
  }
  return std::nullopt;
}

bool is_name(const Form& form) {
  return form.kind == Form::Kind::keyword || form.kind == Form::Kind::string ||
         form.kind == Form::Kind::symbol;
}

class EventReader {
 public:
  EventReader(std::string_view text, const EventSink& sink) : text_(text), sink_(sink) {}

  std::expected<EventCount, Malformed> read(HistoryFormat format) {
    const bool good = format == HistoryFormat::edn ? read_edn() : read_lines(format);
    if (!good) return std::unexpected(std::move(malformed_));
    return count_;
  }

 private:
  bool fail(std::uint64_t line, std::string reason) {
    malformed_ = {line, std::move(reason)};
    return false;
  }
  bool read_edn();
  bool read_lines(HistoryFormat format);
  bool read_json_line(std::string_view line, std::uint64_t number);
  bool read_log_line(std::string_view line, std::uint64_t number);
  bool take_map(const Form& map, std::uint64_t line);
  // False: it is nobody's.
  bool take_process(const Form& form, Event& event, std::string& problem) const;
  bool hand_over(const Event& event);

  std::string_view text_;
  const EventSink& sink_;
  Forms forms_;
  EventCount count_;
  Malformed malformed_;
};

bool EventReader::read_edn() {
  FormReader reader(text_, Notation::edn);
  const bool vector = reader.take('[');
  while (!reader.at_end()) {
    if (vector && reader.take(']')) {
      return reader.at_end() || fail(reader.line(), "there is something behind the vector's end");
    }
    const std::uint64_t line = reader.line();
    const std::optional<Form> form = reader.read(forms_);
    if (!form) return fail(reader.line(), reader.problem());
    if (!take_map(*form, line)) return false;
  }
  return !vector || fail(reader.line(), "a ']' is missing at the end");
}

bool EventReader::read_lines(HistoryFormat format) {
  std::uint64_t number = 0;
  for (std::size_t at = 0; at < text_.size();) {
    ++number;
    const std::size_t end = std::min(text_.find('\n', at), text_.size());
    std::string_view line = text_.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    const bool good =
        format == HistoryFormat::jsonl ? read_json_line(line, number) : read_log_line(line, number);
    if (!good) return false;
  }
  return true;
}

bool EventReader::read_json_line(std::string_view line, std::uint64_t number) {
  FormReader reader(line, Notation::json, number);
  const std::optional<Form> form = reader.read(forms_);
  if (!form) return fail(number, reader.problem());
  if (!reader.at_end()) return fail(number, "there is something behind the object");
  return take_map(*form, number);
}

bool EventReader::read_log_line(std::string_view line, std::uint64_t number) {
  // The lines of a stack trace have tabs, too.
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos || !line.substr(tab + 1).starts_with(':')) {
    ++count_.skipped;
    return true;
  }
  Event event;
  event.line = number;
  const std::string_view before = line.substr(0, tab);
  const std::string_view process = before.substr(before.find_last_of(' ') + 1);
  FormReader name(process, Notation::edn, number);
  const std::optional<Form> who = name.read(forms_);
  std::string problem = "the word before the first tab is no process";
  if (!who || !name.at_end()) return fail(number, std::move(problem));
  problem.clear();
  const bool client = take_process(*who, event, problem);
  if (!problem.empty()) return fail(number, std::move(problem));
  if (!client) {
    ++count_.skipped;
    return true;
  }
  FormReader rest(line.substr(tab + 1), Notation::edn, number);
  Form fields[2];
  for (Form& field : fields) {
    const std::optional<Form> read = rest.read(forms_);
    if (!read || read->kind != Form::Kind::keyword)
      return fail(number, "a type and an f must follow the process");
    field = *read;  // a keyword: it refers to the text
  }
  const std::optional<EventType> type = type_of(fields[0].text);
  if (!type)
    return fail(number, "'" + std::string(fields[0].text) + "' is none of invoke, ok, fail and info");
  event.type = *type;
  event.f = fields[1].text;
  std::optional<Form> value;
  if (!rest.at_end()) {
    value = rest.read(forms_);
    if (!value) return fail(number, rest.problem());
    event.value = &*value;
  }
  return hand_over(event);
}

bool EventReader::take_process(const Form& form, Event& event, std::string& problem) const {
  if (form.kind == Form::Kind::integer && form.integer >= 0) {
    event.process = static_cast<std::uint64_t>(form.integer);
    return true;
  }
  if (!is_name(form)) problem = "a process must be a number from 0 on, or a name that is not a client's";
  return false;
}

bool EventReader::take_map(const Form& map, std::uint64_t line) {
  if (map.kind != Form::Kind::map)
    return fail(line, "an event must be a map, and is " + text_of(map, forms_));
  const Form* process = forms_.find(map, "process");
  if (process == nullptr) return fail(line, "an event has no process");
  Event event;
  event.line = line;
  std::string problem;
  const bool client = take_process(*process, event, problem);
  if (!problem.empty()) return fail(line, std::move(problem));
  if (!client) {
    ++count_.skipped;
    return true;
  }
  const Form* type = forms_.find(map, "type");
  const Form* f = forms_.find(map, "f");
  if (type == nullptr || !is_name(*type)) return fail(line, "an event has no type");
  if (f == nullptr || !is_name(*f) || f->text.empty()) return fail(line, "an event has no f");
  const std::optional<EventType> known = type_of(type->text);
  if (!known)
    return fail(line, "the type " + text_of(*type, forms_) + " is none of invoke, ok, fail and info");
  event.type = *known;
  event.f = f->text;
  event.key = forms_.find(map, "key");
  event.value = forms_.find(map, "value");
  event.id = forms_.find(map, "id");
  return hand_over(event);
}

bool EventReader::hand_over(const Event& event) {
  ++count_.events;
  std::optional<std::string> wrong = sink_(event, forms_);
  return !wrong || fail(event.line, std::move(*wrong));
}

}  // namespace

const char* name_of(HistoryFormat format) {
  switch (format) {
    case HistoryFormat::jsonl: return "jsonl";
    case HistoryFormat::edn: return "edn";
    case HistoryFormat::jepsen_log: return "jepsen-log";
  }
  return "";
}

const char* name_of(EventType type) {
  switch (type) {
    case EventType::invoke: return "invoke";
    case EventType::ok: return "ok";
    case EventType::fail: return "fail";
    case EventType::info: return "info";
  }
  return "";
}

HistoryFormat guess_format(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return HistoryFormat::jsonl;
  const char c = text[first];
  if (c == '[' || c == '#' || c == ';' || c == '(') return HistoryFormat::edn;
  if (c != '{') return HistoryFormat::jepsen_log;
  const std::size_t second = text.find_first_not_of(" \t\r\n", first + 1);
  const bool json = second == std::string_view::npos || text[second] == '"' || text[second] == '}';
  return json ? HistoryFormat::jsonl : HistoryFormat::edn;
}

std::expected<EventCount, Malformed> read_events(std::string_view text, HistoryFormat format,
                                                 const EventSink& sink) {
  return EventReader(text, sink).read(format);
}

}  // namespace reel::harness
