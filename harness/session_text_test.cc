#include "harness/session_text.h"

#include <gtest/gtest.h>

namespace reel::harness {
namespace {

// A session that is read back as another one loses exactly-once without a word.
TEST(SessionText, IsReadBackAsItWasWritten) {
  const SessionId session{0x0123456789abcdef, 0x1};
  EXPECT_EQ(text_of(session), "0123456789abcdef0000000000000001");
  EXPECT_EQ(parse_session(text_of(session)), session);
  EXPECT_EQ(parse_session("0123456789ABCDEF0000000000000001"), session);
  EXPECT_EQ(parse_session("123456789abcdef:1"), session);
}

// A typing error could be taken for somebody else's session.
TEST(SessionText, RefusesWhatIsNone) {
  for (const char* text : {"", ":", "1", "1:", ":1", "1:2:3", "0x1:2", "-1:2", "1: 2", "11112222333344445:1",
                           "0123456789abcdef000000000000000", "0123456789abcdef00000000000000011",
                           "0123456789abcdefg000000000000001", "0123456789abcdef-00000000000001 "}) {
    EXPECT_FALSE(parse_session(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace reel::harness
