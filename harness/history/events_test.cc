#include "harness/history/events.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness/history/form.h"

namespace reel::harness {
namespace {

struct Result {
  std::vector<std::string> events;
  std::uint64_t skipped = 0;
  std::string problem;  // "line: reason"
};

Result read(const std::string& text, HistoryFormat format) {
  Result result;
  const auto done =
      read_events(text, format, [&](const Event& event, const Forms& forms) -> std::optional<std::string> {
        std::string shown = std::to_string(event.line) + " " + std::to_string(event.process) + " " +
                            name_of(event.type) + " " + std::string(event.f);
        if (event.key != nullptr) shown += " key " + text_of(*event.key, forms);
        if (event.value != nullptr) shown += " " + text_of(*event.value, forms);
        if (event.id != nullptr) shown += " id " + text_of(*event.id, forms);
        result.events.push_back(shown);
        return event.f == "refuse" ? std::optional<std::string>("refused") : std::nullopt;
      });
  if (done) {
    result.skipped = done->skipped;
  } else {
    result.problem = std::to_string(done.error().line) + ": " + done.error().reason;
  }
  return result;
}

std::string edn(const std::string& text) {
  Forms forms;
  FormReader reader(text, Notation::edn);
  const auto form = reader.read(forms);
  if (!form) return "problem: " + reader.problem();
  return text_of(*form, forms) + (reader.at_end() ? "" : " and more");
}
std::string json(const std::string& text) {
  Forms forms;
  FormReader reader(text, Notation::json);
  const auto form = reader.read(forms);
  if (!form) return "problem: " + reader.problem();
  return text_of(*form, forms) + (reader.at_end() ? "" : " and more");
}

TEST(Events, JsonLines) {
  // The format that is documented could be read in another way than it is written.
  const Result result = read(
      "{\"process\": 0, \"type\": \"invoke\", \"f\": \"write\", \"key\": \"x\", \"value\": [1, null], "
      "\"time\": 1.5e3}\n\n"
      "{\"type\":\"ok\",\"f\":\"append\",\"process\":18446744073,\"id\":7,\"value\":\"a\\u00e4\\n\"}\r\n",
      HistoryFormat::jsonl);
  EXPECT_EQ(result.problem, "");
  ASSERT_EQ(result.events.size(), 2u);
  EXPECT_EQ(result.events[0], "1 0 invoke write key \"x\" [1 nil]");
  EXPECT_EQ(result.events[1], "3 18446744073 ok append \"a\xc3\xa4\n\" id 7");
}

TEST(Events, EdnOneBehindTheOtherOrInAVector) {
  // Commas, comments, tags and namespaces could end up in values; the two shapes could be told apart wrongly.
  const std::string one =
      "{:process 0, :type :invoke, :f :cas, :value [1 0], :extra/key #inst \"2020\"} ; c ] }\n";
  const std::string other =
      "#jepsen.history.Op{:index 1, :process 0 :type :fail :f :cas #_ :skipped :value (1 0) :error {:a "
      "#{1}}}";
  const std::vector<std::string> expected{"1 0 invoke cas [1 0]", "2 0 fail cas [1 0]"};
  EXPECT_EQ(read(one + other, HistoryFormat::edn).events, expected);
  EXPECT_EQ(read("[" + one + other + "]\n", HistoryFormat::edn).events, expected);
  EXPECT_EQ(read("[]", HistoryFormat::edn).problem, "");
  EXPECT_EQ(read("", HistoryFormat::edn).problem, "");
}

TEST(Events, JepsenLog) {
  // Other lines of a log could be taken for events, or events be overlooked.
  const Result result = read(
      "INFO  jepsen.core - Running test:\n"
      "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
      "2024-01-01 INFO [jepsen worker 0] jepsen.util: 4\t:info\t:write\t:timed-out\n"
      "java.lang.Exception\n\tat user.main(user.clj:1)\n"
      "INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n"
      "INFO  jepsen.util - 2\t:ok\t:cas\t[3 0]\n"
      "INFO  jepsen.util - 2\t:invoke\t:read\n",
      HistoryFormat::jepsen_log);
  EXPECT_EQ(result.problem, "");
  EXPECT_EQ(result.events, (std::vector<std::string>{"2 0 invoke read nil", "3 4 info write :timed-out",
                                                     "7 2 ok cas [3 0]", "8 2 invoke read"}));
  EXPECT_EQ(result.skipped, 4u);
}

TEST(Events, WhatIsNoClientIsSkipped) {
  // The nemesis has no history of its own.
  EXPECT_EQ(read("{:process :nemesis, :type :info, :f :start}", HistoryFormat::edn).skipped, 1u);
  EXPECT_EQ(
      read("{\"process\": \"nemesis\", \"type\": \"info\", \"f\": \"start\"}", HistoryFormat::jsonl).skipped,
      1u);
}

TEST(Events, FormatsAreToldByTheirFirstCharacters) {
  // A file could be read as what it is not, and be refused for reasons that nobody understands.
  EXPECT_EQ(guess_format("{\"process\""), HistoryFormat::jsonl);
  EXPECT_EQ(guess_format("\n { \"process\""), HistoryFormat::jsonl);
  EXPECT_EQ(guess_format("{:process"), HistoryFormat::edn);
  EXPECT_EQ(guess_format("[{:process"), HistoryFormat::edn);
  EXPECT_EQ(guess_format("; comment"), HistoryFormat::edn);
  EXPECT_EQ(guess_format("#jepsen.history.Op{"), HistoryFormat::edn);
  EXPECT_EQ(guess_format("INFO  jepsen.util - 0"), HistoryFormat::jepsen_log);
  EXPECT_EQ(guess_format("2024-01-01"), HistoryFormat::jepsen_log);
  EXPECT_EQ(guess_format(""), HistoryFormat::jsonl);
}

TEST(Events, RefusalsNameTheLineAndTheReason) {
  // Half a file could be judged as if it were whole, or the user be left to search a million lines.
  const struct {
    HistoryFormat format;
    const char* text;
    const char* problem;
  } cases[] = {
      {HistoryFormat::jsonl, "\n{\"process\": 0", "2: a '}' or a ',' is missing"},
      {HistoryFormat::jsonl, "{} {}", "1: there is something behind the object"},
      {HistoryFormat::jsonl, "{}", "1: an event has no process"},
      {HistoryFormat::jsonl, "[1]", "1: an event must be a map, and is [1]"},
      {HistoryFormat::jsonl, "{\"process\": 01}", "1: '01' is no number"},
      {HistoryFormat::jsonl, "{\"process\": -1}",
       "1: a process must be a number from 0 on, or a name that is not a client's"},
      {HistoryFormat::jsonl, "{\"process\": 1, \"type\": \"okay\", \"f\": \"read\"}",
       "1: the type \"okay\" is none of invoke, ok, fail and info"},
      {HistoryFormat::jsonl, "{\"process\": 1, \"f\": \"read\"}", "1: an event has no type"},
      {HistoryFormat::jsonl, "{\"process\": 1, \"type\": \"ok\"}", "1: an event has no f"},
      {HistoryFormat::jsonl, "{\"process\": 1, \"type\": \"ok\", \"f\": \"refuse\"}", "1: refused"},
      {HistoryFormat::jsonl, "{\"a\nb\": 1}", "1: a '\"' is missing at the end of a string"},
      {HistoryFormat::edn, "{:process 0,\n\n :type :ok", "3: a '}' is missing"},
      {HistoryFormat::edn, "{:process 0 :type}", "1: a map has a key without a value"},
      {HistoryFormat::edn, "[{:process :a}\n", "2: a ']' is missing at the end"},
      {HistoryFormat::edn, "[]\n[]", "2: there is something behind the vector's end"},
      {HistoryFormat::edn, "}", "1: a value cannot begin with '}'"},
      {HistoryFormat::jepsen_log, "x\nINFO - 0\t:perhaps\t:read\tnil",
       "2: 'perhaps' is none of invoke, ok, fail and info"},
      {HistoryFormat::jepsen_log, "INFO - 0\t:ok\t7\tnil", "1: a type and an f must follow the process"},
      {HistoryFormat::jepsen_log, "INFO - [\t:ok\t:read\tnil",
       "1: the word before the first tab is no process"},
      {HistoryFormat::jepsen_log, "INFO - 0\t:ok\t:read\t[1", "1: a ']' is missing"},
  };
  for (const auto& [format, text, problem] : cases) EXPECT_EQ(read(text, format).problem, problem) << text;
}

TEST(Forms, EdnValues) {
  // A value could be taken for another of its kind, or what stands behind it be swallowed.
  EXPECT_EQ(edn("nil"), "nil");
  EXPECT_EQ(edn("-17"), "-17");
  EXPECT_EQ(edn("+5"), "5");
  EXPECT_EQ(edn("12N"), "12");
  EXPECT_EQ(edn("1.5"), "1.5");
  EXPECT_EQ(edn("99999999999999999999"), "99999999999999999999");
  EXPECT_EQ(edn(":a.b/c"), ":a.b/c");
  EXPECT_EQ(edn("\\space"), "\\space");
  EXPECT_EQ(edn("[\\[ \\]]"), "[\\[ \\]]");
  EXPECT_EQ(edn("[1,2 #_3 4]"), "[1 2 4]");
  EXPECT_EQ(edn("#{1 2}"), "[1 2]");
  EXPECT_EQ(edn("{:a [1 {:b nil}] \"c\" true}"), "{:a [1 {:b nil}] \"c\" true}");
  EXPECT_EQ(edn("\"a\\\"b\\\\\""), "\"a\\\"b\\\\\"");
  EXPECT_EQ(edn("1 2"), "1 and more");
  EXPECT_EQ(edn("#_1 2"), "2");
  EXPECT_EQ(edn("1x"), "problem: '1x' is no number");
  EXPECT_EQ(edn("\"a"), "problem: a '\"' is missing at the end of a string");
  EXPECT_EQ(edn("\"\\q\""), "problem: a string has an escape that is none");
  EXPECT_EQ(edn(":"), "problem: a ':' is followed by no name");
  EXPECT_EQ(edn("["), "problem: a ']' is missing");
  EXPECT_EQ(edn("[}"), "problem: a value cannot begin with '}'");
}

TEST(Forms, JsonValues) {
  // What no JSON writer writes could be accepted, or its strings be read differently.
  EXPECT_EQ(json("[null, true, false, -0.5e-7, {\"a\": []}]"), "[nil true false -0.5e-7 {\"a\" []}]");
  EXPECT_EQ(json("\"\\ud83d\\ude00\\/\""), "\"\xf0\x9f\x98\x80/\"");
  EXPECT_EQ(json("\"\\ud83d\""), "problem: a string has half of a surrogate pair");
  EXPECT_EQ(json("\"\\u12\""), "problem: a '\\u' is not followed by four hexadecimal digits");
  EXPECT_EQ(json("\"\\u"), "problem: a '\\u' is not followed by four hexadecimal digits");
  EXPECT_EQ(json("[1,]"), "problem: a value cannot begin with ']'");
  EXPECT_EQ(json("[1 2]"), "problem: a ']' or a ',' is missing");
  EXPECT_EQ(json("{1: 2}"), "problem: a key of an object must be a string");
  EXPECT_EQ(json("{\"a\" 2}"), "problem: a ':' is missing behind a key");
  EXPECT_EQ(json("nil"), "problem: 'nil' is no value");
  EXPECT_EQ(json("1."), "problem: '1.' is no number");
  EXPECT_EQ(json("+1"), "problem: '+1' is no number");
}

TEST(Forms, NestingIsBounded) {
  // A hostile file could overflow the stack.
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  for (const auto& parse : {edn, json}) {
    EXPECT_EQ(parse(nested(60)).substr(0, 2), "[[");
    EXPECT_EQ(parse(nested(70)), "problem: it is nested more than 64 deep");
    EXPECT_EQ(parse(std::string(1'000'000, '[')), "problem: it is nested more than 64 deep");
  }
  std::string discards;
  for (int each = 0; each < 100'000; ++each) discards += "#_";
  EXPECT_EQ(edn(discards), "problem: it is nested more than 64 deep");
}

}  // namespace
}  // namespace reel::harness
