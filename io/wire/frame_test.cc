#include "io/wire/frame.h"

#include <gtest/gtest.h>

#include "io/wire/limits.h"

namespace reel::wire {
namespace {

TEST(Frame, FieldsComeBackInOrder) {
  // A width that differs between writer and reader would shift every later field.
  const io::Bytes blob = io::Bytes::copy_of(std::string_view("blob"));
  FieldWriter out;
  out.u8(1);
  out.u16(0x0203);
  out.u32(0x04050607);
  out.u64(0x08090a0b0c0d0e0full);
  out.text("words");
  out.blob(blob);
  const io::Bytes frame = out.frame(Kind::client_call);
  EXPECT_EQ(static_cast<std::uint8_t>(frame.data()[kFrameHeaderBytes + 1]), 0x03);  // little-endian
  auto in = FieldReader::open(frame, Kind::client_call);
  ASSERT_TRUE(in);
  EXPECT_EQ(in->u8(), 1);
  EXPECT_EQ(in->u16(), 0x0203);
  EXPECT_EQ(in->u32(), 0x04050607u);
  EXPECT_EQ(in->u64(), 0x08090a0b0c0d0e0full);
  EXPECT_EQ(in->text(), "words");
  EXPECT_EQ(in->blob(4), blob);
  EXPECT_TRUE(in->finish());
}

TEST(Frame, ReadingBeyondTheEndGivesZeroAndFails) {
  // A reader that ran over the fields would read the payload, or foreign memory.
  FieldWriter out;
  out.u8(7);
  const io::Bytes frame = out.frame(Kind::client_call);
  auto in = FieldReader::open(frame, Kind::client_call);
  ASSERT_TRUE(in);
  EXPECT_EQ(in->u32(), 0u);
  EXPECT_TRUE(in->failed());
  EXPECT_EQ(in->u8(), 0);
  EXPECT_FALSE(in->finish());
}

TEST(Frame, ForeignFramesAreRefusedByNameAndVersion) {
  // A trace of another version must be refused, not misread.
  FieldWriter out;
  const io::Bytes frame = out.frame(Kind::client_call);
  EXPECT_FALSE(FieldReader::open(frame, Kind::client_reply));
  std::vector<std::byte> copy(frame.span().begin(), frame.span().end());
  for (const int foreign : {0, kVersion - 1, kVersion + 1, 255}) {
    copy[0] = static_cast<std::byte>(foreign);
    const auto in = FieldReader::open(io::Bytes::copy_of(copy), Kind::client_call);
    ASSERT_FALSE(in) << foreign;
    EXPECT_EQ(in.error(), "frame has an unknown version");
  }
}

TEST(Frame, LongTextsAreCut) {
  // An error's sentence of a megabyte must not make its own reply undecodable.
  FieldWriter out;
  out.text(std::string(kTextBytesMax + 5, 'x'));
  auto in = FieldReader::open(out.frame(Kind::client_reply), Kind::client_reply);
  ASSERT_TRUE(in);
  EXPECT_EQ(in->text().size(), kTextBytesMax);
  EXPECT_TRUE(in->finish());
}

}  // namespace
}  // namespace reel::wire
