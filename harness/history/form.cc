#include "harness/history/form.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace reel::harness {
namespace {

constexpr unsigned kDepthMax = 64;
constexpr std::size_t kPartsMax = UINT32_MAX;
constexpr std::size_t kShownMax = 120;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool ends_word(char c) {
  return is_space(c) || c == ',' || c == '"' || c == '(' || c == ')' || c == '[' || c == ']' || c == '{' ||
         c == '}' || c == ';';
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
}

// JSON's grammar: no leading zeros, digits on both sides of the point.
bool is_json_number(std::string_view word) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < word.size() && is_digit(word[at])) ++at;
    return at > begin;
  };
  const auto take = [&](char wanted) {
    if (at >= word.size() || word[at] != wanted) return false;
    ++at;
    return true;
  };
  (void)take('-');
  const bool zero = at < word.size() && word[at] == '0';
  const std::size_t begin = at;
  if (!digits() || (zero && at > begin + 1)) return false;
  if (take('.') && !digits()) return false;
  if (take('e') || take('E')) {
    if (!take('+')) (void)take('-');
    if (!digits()) return false;
  }
  return at == word.size();
}

void write_form(std::string& out, const Form& form, const Forms& forms, std::size_t max) {
  if (out.size() > max) return;
  switch (form.kind) {
    case Form::Kind::nil: out += "nil"; return;
    case Form::Kind::boolean: out += form.integer != 0 ? "true" : "false"; return;
    case Form::Kind::integer: out += std::to_string(form.integer); return;
    case Form::Kind::number:
    case Form::Kind::symbol: out += form.text; return;
    case Form::Kind::keyword: (out += ':') += form.text; return;
    case Form::Kind::string:
      out += '"';
      for (const char c : form.text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
      }
      out += '"';
      return;
    case Form::Kind::list:
    case Form::Kind::map: break;
  }
  const bool list = form.kind == Form::Kind::list;
  out += list ? '[' : '{';
  const char* divider = "";
  for (const Form& part : forms.parts(form)) {
    out += std::exchange(divider, " ");
    write_form(out, part, forms, max);
  }
  out += list ? ']' : '}';
}

}  // namespace

const Form* Forms::find(const Form& map, std::string_view key) const {
  if (map.kind != Form::Kind::map) return nullptr;
  const std::span<const Form> all = parts(map);
  for (std::size_t at = 0; at + 1 < all.size(); at += 2) {
    const Form::Kind kind = all[at].kind;
    const bool names =
        kind == Form::Kind::keyword || kind == Form::Kind::string || kind == Form::Kind::symbol;
    if (names && all[at].text == key) return &all[at + 1];
  }
  return nullptr;
}

std::string text_of(const Form& form, const Forms& forms, bool whole) {
  std::string text;
  write_form(text, form, forms, whole ? SIZE_MAX : kShownMax);
  if (whole || text.size() <= kShownMax) return text;
  return text.substr(0, kShownMax) + "...";
}

bool FormReader::fail(std::string problem) {
  if (problem_.empty()) problem_ = std::move(problem);
  return false;
}

void FormReader::skip_space() {
  for (; !ended(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') ++line_;
    if (is_space(c) || (notation_ == Notation::edn && c == ',')) continue;
    if (notation_ != Notation::edn || c != ';') return;
    while (!ended() && text_[at_] != '\n') ++at_;
    --at_;  // the line's end is counted above
  }
}

bool FormReader::at_end() {
  skip_space();
  return ended();
}

bool FormReader::take(char wanted) {
  skip_space();
  if (ended() || text_[at_] != wanted) return false;
  ++at_;
  return true;
}

std::optional<Form> FormReader::read(Forms& forms) {
  forms.nodes_.clear();
  forms.decoded_.clear();
  open_.clear();
  Form form;
  if (!read_form(forms, form, 0)) return std::nullopt;
  return form;
}

bool FormReader::read_form(Forms& forms, Form& form, unsigned depth) {
  if (depth > kDepthMax) return fail("it is nested more than 64 deep");
  skip_space();
  if (ended()) return fail("it ends in the middle of a value");
  const char c = text_[at_];
  if (c == '"') return read_string(forms, form);
  if (notation_ == Notation::json) {
    if (c == '[') return read_array(forms, form, depth);
    if (c == '{') return read_object(forms, form, depth);
    return read_word(form);
  }
  form.kind = c == '{' ? Form::Kind::map : Form::Kind::list;
  switch (c) {
    case '{': return ++at_, read_parts(forms, form, '}', depth);
    case '[': return ++at_, read_parts(forms, form, ']', depth);
    case '(': return ++at_, read_parts(forms, form, ')', depth);
    case '#': return ++at_, read_dispatch(forms, form, depth);
    default: return read_word(form);
  }
}

// Behind a '#'.
bool FormReader::read_dispatch(Forms& forms, Form& form, unsigned depth) {
  if (ended()) return fail("it ends in the middle of a value");
  if (text_[at_] == '{') {
    ++at_;
    form.kind = Form::Kind::list;
    return read_parts(forms, form, '}', depth);
  }
  Form skipped;
  if (text_[at_] == '_') {
    ++at_;
    if (!read_form(forms, skipped, depth + 1)) return false;
  } else if (!read_word(skipped) || skipped.kind != Form::Kind::symbol) {
    return fail("a '#' is followed by neither a tag nor a set");
  }
  return read_form(forms, form, depth + 1);
}

void FormReader::close(Forms& forms, Form& form, std::size_t parts_from) {
  form.first = static_cast<std::uint32_t>(forms.nodes_.size());
  form.count = static_cast<std::uint32_t>(open_.size() - parts_from);
  forms.nodes_.insert(forms.nodes_.end(), open_.begin() + static_cast<std::ptrdiff_t>(parts_from),
                      open_.end());
  open_.resize(parts_from);
}

bool FormReader::read_parts(Forms& forms, Form& form, char end, unsigned depth) {
  const std::size_t parts_from = open_.size();
  while (!take(end)) {
    if (ended()) return fail(std::string("a '") + end + "' is missing");
    if (text_.substr(at_, 2) == "#_") {
      at_ += 2;
      Form skipped;
      if (!read_form(forms, skipped, depth + 1)) return false;
      continue;
    }
    Form part;
    if (!read_form(forms, part, depth + 1)) return false;
    if (forms.nodes_.size() + open_.size() >= kPartsMax) return fail("a value has more than 2^32 parts");
    open_.push_back(part);
  }
  if (form.kind == Form::Kind::map && (open_.size() - parts_from) % 2 != 0) {
    return fail("a map has a key without a value");
  }
  close(forms, form, parts_from);
  return true;
}

bool FormReader::read_array(Forms& forms, Form& form, unsigned depth) {
  form.kind = Form::Kind::list;
  ++at_;
  const std::size_t parts_from = open_.size();
  if (!take(']')) {
    do {
      Form part;
      if (!read_form(forms, part, depth + 1)) return false;
      open_.push_back(part);
    } while (take(','));
    if (!take(']')) return fail("a ']' or a ',' is missing");
  }
  close(forms, form, parts_from);
  return true;
}

bool FormReader::read_object(Forms& forms, Form& form, unsigned depth) {
  form.kind = Form::Kind::map;
  ++at_;
  const std::size_t parts_from = open_.size();
  if (!take('}')) {
    do {
      Form key, value;
      skip_space();
      if (ended() || text_[at_] != '"') return fail("a key of an object must be a string");
      if (!read_string(forms, key)) return false;
      if (!take(':')) return fail("a ':' is missing behind a key");
      if (!read_form(forms, value, depth + 1)) return false;
      open_.push_back(key);
      open_.push_back(value);
    } while (take(','));
    if (!take('}')) return fail("a '}' or a ',' is missing");
  }
  close(forms, form, parts_from);
  return true;
}

bool FormReader::read_string(Forms& forms, Form& form) {
  form.kind = Form::Kind::string;
  const std::size_t begin = ++at_;
  const auto next = [this] { return text_.find_first_of("\"\\\n", at_); };
  std::string* decoded = nullptr;
  for (std::size_t from = begin;;) {
    const std::size_t stop = next();
    if (stop == std::string_view::npos) return fail("a '\"' is missing at the end of a string");
    at_ = stop + 1;
    if (text_[stop] == '\n') {
      if (notation_ == Notation::json) return fail("a '\"' is missing at the end of a string");
      ++line_;
      continue;
    }
    if (text_[stop] == '"') {
      form.text = text_.substr(begin, stop - begin);
      if (decoded != nullptr) form.text = decoded->append(text_, from, stop - from);
      return true;
    }
    if (decoded == nullptr) decoded = &forms.decoded_.emplace_back();
    decoded->append(text_, from, stop - from);
    if (!read_escape(*decoded)) return false;
    from = at_;
  }
}

bool FormReader::read_escape(std::string& out) {
  if (ended()) return fail("a '\"' is missing at the end of a string");
  switch (const char c = text_[at_++]; c) {
    case '"':
    case '\\':
    case '/': out += c; return true;
    case 'b': out += '\b'; return true;
    case 'f': out += '\f'; return true;
    case 'n': out += '\n'; return true;
    case 'r': out += '\r'; return true;
    case 't': out += '\t'; return true;
    case 'u': break;
    default: return fail("a string has an escape that is none");
  }
  std::uint32_t high = 0, low = 0;
  if (!read_code_unit(high)) return false;
  if (high < 0xd800 || high > 0xdfff) {
    append_utf8(out, high);
    return true;
  }
  const bool pair = high < 0xdc00 && text_.substr(at_, 2) == "\\u";
  if (pair) at_ += 2;
  if (!pair || !read_code_unit(low) || low < 0xdc00 || low > 0xdfff) {
    return fail("a string has half of a surrogate pair");
  }
  append_utf8(out, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
  return true;
}

bool FormReader::read_code_unit(std::uint32_t& unit) {
  const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
  if (digits.size() < 4 || error != std::errc() || end != digits.data() + 4) {
    return fail("a '\\u' is not followed by four hexadecimal digits");
  }
  at_ += 4;
  return true;
}

bool FormReader::read_word(Form& form) {
  const std::size_t begin = at_;
  // A character such as \( or \newline: the next one belongs to it, whatever it is.
  if (notation_ == Notation::edn && text_[at_] == '\\') at_ += 2;
  while (!ended() && !ends_word(text_[at_]) && !(notation_ == Notation::json && text_[at_] == ':')) ++at_;
  at_ = std::min(at_, text_.size());
  const std::string_view word = text_.substr(begin, at_ - begin);
  if (word.empty()) return fail(std::string("a value cannot begin with '") + text_[begin] + "'");
  const bool json = notation_ == Notation::json;
  form.text = word;
  if (word == (json ? "null" : "nil")) {
    form.kind = Form::Kind::nil;
  } else if (word == "true" || word == "false") {
    form.kind = Form::Kind::boolean;
    form.integer = word == "true" ? 1 : 0;
  } else if (is_digit(word[0]) ||
             (word.size() > 1 && (word[0] == '-' || word[0] == '+') && is_digit(word[1]))) {
    return read_number(word, form);
  } else if (json) {
    return fail("'" + std::string(word.substr(0, 40)) + "' is no value");
  } else if (word[0] == ':') {
    form.kind = Form::Kind::keyword;
    form.text.remove_prefix(1);
    if (form.text.empty()) return fail("a ':' is followed by no name");
  } else {
    form.kind = Form::Kind::symbol;
  }
  return true;
}

bool FormReader::read_number(std::string_view word, Form& form) {
  if (notation_ == Notation::json && !is_json_number(word)) {
    return fail("'" + std::string(word.substr(0, 40)) + "' is no number");
  }
  std::string_view digits = word;
  if (digits[0] == '+') digits.remove_prefix(1);
  if (digits.ends_with('N') && notation_ == Notation::edn) digits.remove_suffix(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), form.integer);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  form.kind = whole ? Form::Kind::integer : Form::Kind::number;
  form.text = digits;
  if (whole || notation_ == Notation::json) return true;
  const bool good = std::all_of(digits.begin(), digits.end(), [](char c) {
    return is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-' || c == '/' || c == 'M';
  });
  return good || fail("'" + std::string(word.substr(0, 40)) + "' is no number");
}

}  // namespace reel::harness
