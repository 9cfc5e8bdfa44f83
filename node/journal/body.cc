#include <cstring>

#include "io/ports/assert.h"
#include "node/journal/journal.h"

namespace reel::journal {

BodyBuilder::BodyBuilder(std::size_t payload_bytes_max)
    : buffer_(io::Buffer::allocate(record_bytes(static_cast<std::uint32_t>(payload_bytes_max)))),
      room_bytes_(payload_bytes_max) {
  REEL_ASSERT(payload_bytes_max <= kEntryBytesMax);
}

std::span<std::byte> BodyBuilder::room() { return buffer_.span().subspan(kRecordHeaderBytes, room_bytes_); }

Body BodyBuilder::finish(std::size_t payload_bytes) && {
  REEL_ASSERT(payload_bytes <= room_bytes_);
  const std::size_t whole = record_bytes(static_cast<std::uint32_t>(payload_bytes));
  std::byte* const start = buffer_.data();
  std::memset(start, 0, kRecordHeaderBytes);
  std::memset(start + kRecordHeaderBytes + payload_bytes, 0, whole - kRecordHeaderBytes - payload_bytes);
  Body body;
  body.header_ = start;
  body.whole_ = std::move(buffer_).freeze().slice(0, whole);
  body.payload_ = body.whole_.slice(kRecordHeaderBytes, payload_bytes);
  return body;
}

Body BodyBuilder::copy_of(std::span<const std::byte> payload) {
  BodyBuilder builder(payload.size());
  if (!payload.empty()) std::memcpy(builder.room().data(), payload.data(), payload.size());
  return std::move(builder).finish(payload.size());
}

std::expected<Bytes, RecoveryError> verify_record(const Bytes& record, const Stamp& stamp, GroupId group,
                                                  const EntryIdentity& identity, const Location& at) {
  const std::string where = "group " + std::to_string(group.value) + " index " +
                            std::to_string(identity.index.value) + " in " + file_name(at.file_sequence) +
                            " at byte " + std::to_string(at.offset);
  auto error = [&](RecoveryError::Code code, const std::string& what) {
    return std::unexpected(RecoveryError{code, what + ": " + where + "; restore this node from its peers"});
  };
  const auto header = decode_record_header(record.span());
  if (!header) {
    return error(header.error() == DecodeError::unsupported ? RecoveryError::Code::unsupported
                                                            : RecoveryError::Code::rot,
                 std::string("a record is ") + name_of(header.error()));
  }
  if (header->stamp.cluster != stamp.cluster || header->stamp.node != stamp.node ||
      header->stamp.incarnation > stamp.incarnation) {
    return error(RecoveryError::Code::foreign, "a record belongs to another node");
  }
  if (header->file_sequence != at.file_sequence || header->offset != at.offset || header->group != group ||
      header->identity != identity) {
    return error(RecoveryError::Code::rot, "another record lies in the place of a record");
  }
  if (record.size() < record_bytes(identity.size))
    return error(RecoveryError::Code::rot, "a record is cut short");
  Bytes payload = record.slice(kRecordHeaderBytes, identity.size);
  if (io::checksum(payload.span()) != identity.checksum) {
    return error(RecoveryError::Code::rot, "the payload of a record is damaged");
  }
  return payload;
}

}  // namespace reel::journal
