// Forms: the values that histories of other systems are written in, as JSON or as a part of EDN (Clojure's notation).
//
// Of EDN: nil, true, false, numbers, strings, characters, keywords, symbols, vectors, lists, sets and maps; comments, `#_` and
// tags, which are skipped (`#jepsen.history.Op{...}` is read as the map). Of JSON everything.
//
// Bounds: 64 levels of nesting, 2^32 - 1 parts of one form. A form refers to the text that it was read from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reel::harness {

enum class Notation : std::uint8_t { edn, json };

struct Form {
  enum class Kind : std::uint8_t {
    nil,
    boolean,  // integer: 0 or 1
    integer,
    number,   // beyond 64 bits, or with a fraction: text, as it is written
    string,   // text: the content, escapes resolved
    keyword,  // text: without the colon
    symbol,   // text
    list,     // vectors, lists and sets
    map,      // keys and values by turns
  };

  Kind kind = Kind::nil;
  std::int64_t integer = 0;
  std::string_view text;
  std::uint32_t first = 0;  // list, map: the parts, Forms::parts()
  std::uint32_t count = 0;
};

// What one form consists of. Reading the next one makes the last one's parts and decoded texts invalid.
class Forms {
 public:
  std::span<const Form> parts(const Form& of) const { return std::span(nodes_).subspan(of.first, of.count); }
  // The value of this key of a map: a keyword, a string or a symbol. nullptr if there is none; the first of several.
  const Form* find(const Form& map, std::string_view key) const;

 private:
  friend class FormReader;
  std::vector<Form> nodes_;
  std::deque<std::string> decoded_;  // strings with escapes
};

class FormReader {
 public:
  // The text must outlive what is read. `line` is the number of its first line.
  FormReader(std::string_view text, Notation notation, std::uint64_t line = 1)
      : text_(text), notation_(notation), line_(line) {}

  // Behind space and comments: nothing but the end is left.
  [[nodiscard]] bool at_end();
  // Takes this character if it is the next behind space and comments.
  [[nodiscard]] bool take(char wanted);
  // Nothing if there is no well-formed one here: problem() says why.
  [[nodiscard]] std::optional<Form> read(Forms& forms);

  std::uint64_t line() const { return line_; }  // where it stands
  const std::string& problem() const { return problem_; }

 private:
  bool fail(std::string problem);
  void skip_space();
  bool read_form(Forms& forms, Form& form, unsigned depth);
  bool read_parts(Forms& forms, Form& form, char end, unsigned depth);
  bool read_object(Forms& forms, Form& form, unsigned depth);
  bool read_array(Forms& forms, Form& form, unsigned depth);
  bool read_dispatch(Forms& forms, Form& form, unsigned depth);
  bool read_string(Forms& forms, Form& form);
  bool read_escape(std::string& out);
  bool read_code_unit(std::uint32_t& unit);
  bool read_word(Form& form);
  bool read_number(std::string_view word, Form& form);
  void close(Forms& forms, Form& form, std::size_t parts_from);
  bool ended() const { return at_ >= text_.size(); }

  std::string_view text_;
  Notation notation_;
  std::uint64_t line_;
  std::size_t at_ = 0;
  std::vector<Form> open_;  // parts of forms that are not closed yet
  std::string problem_;
};

// As EDN, at most some hundred characters of it; for messages, and to tell values apart where `whole`.
[[nodiscard]] std::string text_of(const Form& form, const Forms& forms, bool whole = false);

}  // namespace reel::harness
