#include "harness/submission_line.h"

#include <gtest/gtest.h>

namespace reel::harness {
namespace {

std::string problem_with(std::string_view text) {
  const auto line = parse_submission_line(text);
  return line ? "nothing" : line.error();
}

// A field could be read into another one, or lost.
TEST(SubmissionLine, HasEveryField) {
  const auto line = parse_submission_line(
      R"({"partition": 3, "header": 7, "data": "x", "write": ["a", "b"], "read": ["c"], "append": ["d"], "based_on": 0, "deadline_ms": 5})");
  ASSERT_TRUE(line.has_value()) << line.error();
  EXPECT_EQ(line->partition, 3u);
  EXPECT_EQ(line->header, 7u);
  EXPECT_EQ(line->data, "x");
  EXPECT_EQ(line->based_on, TxnId(0));
  EXPECT_EQ(line->deadline_ms, 5u);
  EXPECT_EQ(line->lock(1).key, "b");
  EXPECT_EQ(line->lock(2).key, "c");
  EXPECT_STREQ(line->lock(3).mode, "append");
  const Bytes block = line->record(io::ClusterId(1));
  const auto record = log::parse_record(block.span());
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->lock(2), log::lock_key("c", 1));
  EXPECT_EQ(record->based_on, TxnId(0));
  EXPECT_FALSE(parse_submission_line(R"({"data": ""})")->based_on.has_value());
}

// What is half understood would be committed for good.
TEST(SubmissionLine, RefusesWhatItDoesNotUnderstand) {
  EXPECT_EQ(problem_with("{"), "is not JSON");
  EXPECT_EQ(problem_with("[1]"), "is not a JSON object");
  EXPECT_EQ(problem_with(R"({"data": 1})"), "cannot be used: data must be a string");
  EXPECT_NE(problem_with(R"({"data": "x", "partition": -1})"), "nothing");
  EXPECT_NE(problem_with(R"({"data": "x", "partition": 1.5})"), "nothing");
  EXPECT_NE(problem_with(R"({"data": "x", "header": 4294967296})"), "nothing");
  EXPECT_NE(problem_with(R"({"data": "x", "write": "a"})"), "nothing");
  EXPECT_NE(problem_with(R"({"data": "x", "write": [""]})"), "nothing");
  EXPECT_NE(problem_with(R"({"data": "x", "data_base64": ""})"), "nothing");
  EXPECT_NE(problem_with(R"({"header": 1})"), "nothing");
  EXPECT_NE(problem_with(R"({"data": "x", "lock": []})"), "nothing");
  EXPECT_NE(problem_with(R"({"data": "x", "key": "k", "partition": 1})"), "nothing");
  EXPECT_NE(problem_with(R"({"data": ")" + std::string(kTransactionBytesMax + 1, 'x') + "\"}"), "nothing");
  EXPECT_NE(problem_with(std::string(100000, '[')), "nothing");
}

// Bytes could be lost at the end, or rubbish be taken.
TEST(SubmissionLine, DecodesBase64) {
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("Zg=="), "f");
  EXPECT_EQ(decode_base64("Zm8="), "fo");
  EXPECT_EQ(decode_base64("Zm9v"), "foo");
  EXPECT_EQ(decode_base64("AP8="), std::string("\x00\xff", 2));
  for (const char* bad : {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zg==Zg==", "Zm9-"}) {
    EXPECT_FALSE(decode_base64(bad).has_value()) << bad;
  }
}

// A key that moves would be ordered twice.
TEST(SubmissionLine, AKeyStaysInItsPartition) {
  EXPECT_EQ(partition_of("ann", 1), 0u);
  EXPECT_EQ(partition_of("ann", 7), partition_of("ann", 7));
  EXPECT_LT(partition_of("bob", 3), 3u);
}

}  // namespace
}  // namespace reel::harness
