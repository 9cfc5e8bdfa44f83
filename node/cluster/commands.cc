#include "node/cluster/commands.h"

#include <algorithm>
#include <optional>

#include "io/ports/assert.h"
#include "io/ports/endian.h"
#include "node/raft/configuration_codec.h"

namespace reel::cluster {
namespace {

constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kCommandHeaderBytes = 8;
constexpr std::size_t kReportBytes = 40;  // without its progress and its name
constexpr std::size_t kProgressBytes = 24;

enum class Kind : std::uint16_t { partitions = 1, report = 2, expire = 3, revoke = 4, remove = 5 };

template <class Number>
void put(std::vector<std::byte>& out, Number value) {
  out.resize(out.size() + sizeof value);
  io::store(out.data() + out.size() - sizeof value, value);
}

void put_text(std::vector<std::byte>& out, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_zeros(std::vector<std::byte>& out, std::size_t count) { out.resize(out.size() + count); }

// Reads in order; after the first failure everything is zero and empty.
class Fields {
 public:
  explicit Fields(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <class Number>
  Number take() {
    const auto bytes = take(sizeof(Number));
    return bytes.empty() ? Number{} : io::load<Number>(bytes.data());
  }
  std::span<const std::byte> take(std::size_t count) {
    if (count > rest_.size()) failed_ = true;
    if (failed_) return {};
    const auto bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }
  std::string text(std::size_t count) {
    const auto bytes = take(count);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void zeros(std::size_t count) {
    const auto bytes = take(count);
    require(std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{}; }));
  }
  void require(bool holds) { failed_ = failed_ || !holds; }
  bool failed() const { return failed_; }
  std::size_t left() const { return rest_.size(); }
  bool sound() const { return !failed_ && rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
  bool failed_ = false;
};

Kind write(std::vector<std::byte>& out, const CreatePartitions& command) {
  put(out, command.from);
  put(out, command.total);
  const Bytes configuration = raft::encode_configuration(command.configuration);
  out.insert(out.end(), configuration.data(), configuration.data() + configuration.size());
  return Kind::partitions;
}

Kind write(std::vector<std::byte>& out, const Report& command) {
  const ReaderGroupCall& call = command.call;
  put(out, call.member.high);
  put(out, call.member.low);
  put(out, static_cast<std::uint64_t>(call.patience.ns));
  put(out, command.partitions);
  put(out, static_cast<std::uint8_t>(call.verb));
  put(out, static_cast<std::uint8_t>(call.name.size()));
  put_zeros(out, 2);
  put(out, static_cast<std::uint32_t>(call.progress.size()));
  put_zeros(out, 4);
  for (const ReaderProgress& progress : call.progress) {
    put(out, progress.group.value);
    put(out, std::uint32_t{progress.released ? 1u : 0u});
    put(out, progress.epoch.value);
    put(out, progress.next.value);
  }
  put_text(out, call.name);
  return Kind::report;
}

Kind write(std::vector<std::byte>& out, const ExpireMember& command) {
  put(out, command.member.high);
  put(out, command.member.low);
  put(out, static_cast<std::uint8_t>(command.name.size()));
  put_zeros(out, 7);
  put_text(out, command.name);
  return Kind::expire;
}

Kind write(std::vector<std::byte>& out, const RevokeShare& command) {
  put(out, command.epoch.value);
  put(out, command.group.value);
  put(out, static_cast<std::uint8_t>(command.name.size()));
  put_zeros(out, 3);
  put_text(out, command.name);
  return Kind::revoke;
}

Kind write(std::vector<std::byte>& out, const RemoveReaderGroup& command) {
  put_text(out, command.name);
  return Kind::remove;
}

Command read_partitions(Fields& in) {
  CreatePartitions command;
  command.from = in.take<std::uint32_t>();
  command.total = in.take<std::uint32_t>();
  const auto configuration = raft::decode_configuration(in.take(in.left()));
  in.require(configuration.has_value() && command.from > 0 && command.from < command.total &&
             command.total <= kGroupsMax);
  if (configuration) command.configuration = *configuration;
  return command;
}

Command read_report(Fields& in) {
  Report command;
  ReaderGroupCall& call = command.call;
  call.member.high = in.take<std::uint64_t>();
  call.member.low = in.take<std::uint64_t>();
  const auto patience = in.take<std::uint64_t>();
  in.require(patience <= static_cast<std::uint64_t>(kReaderPatienceMax.ns));
  call.patience.ns = static_cast<std::int64_t>(patience);
  command.partitions = in.take<std::uint32_t>();
  in.require(command.partitions > 0 && command.partitions <= kGroupsMax);
  const auto verb = in.take<std::uint8_t>();
  in.require(verb <= static_cast<std::uint8_t>(ReaderGroupCall::Verb::leave));
  call.verb = static_cast<ReaderGroupCall::Verb>(verb);
  const auto name_bytes = in.take<std::uint8_t>();
  in.zeros(2);
  const auto count = in.take<std::uint32_t>();
  in.zeros(4);
  in.require(count <= kReaderProgressMax && count * kProgressBytes <= in.left());
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    ReaderProgress progress;
    progress.group = GroupId(in.take<std::uint32_t>());
    const auto flags = in.take<std::uint32_t>();
    in.require(flags <= 1);
    progress.released = flags == 1;
    progress.epoch = Epoch(in.take<std::uint64_t>());
    progress.next = TxnId(in.take<std::uint64_t>());
    call.progress.push_back(progress);
  }
  call.name = in.text(name_bytes);
  in.require(is_reader_group_name(call.name) && call.member != MemberId());
  return command;
}

Command read_expire(Fields& in) {
  ExpireMember command;
  command.member.high = in.take<std::uint64_t>();
  command.member.low = in.take<std::uint64_t>();
  const auto name_bytes = in.take<std::uint8_t>();
  in.zeros(7);
  command.name = in.text(name_bytes);
  in.require(is_reader_group_name(command.name));
  return command;
}

Command read_revoke(Fields& in) {
  RevokeShare command;
  command.epoch = Epoch(in.take<std::uint64_t>());
  command.group = GroupId(in.take<std::uint32_t>());
  const auto name_bytes = in.take<std::uint8_t>();
  in.zeros(3);
  command.name = in.text(name_bytes);
  in.require(is_reader_group_name(command.name));
  return command;
}

Command read_remove(Fields& in) {
  RemoveReaderGroup command;
  command.name = in.text(in.left());
  in.require(is_reader_group_name(command.name));
  return command;
}

std::optional<Command> read(Kind kind, std::span<const std::byte> body) {
  Fields in(body);
  Command command;
  switch (kind) {
    case Kind::partitions: command = read_partitions(in); break;
    case Kind::report: command = read_report(in); break;
    case Kind::expire: command = read_expire(in); break;
    case Kind::revoke: command = read_revoke(in); break;
    case Kind::remove: command = read_remove(in); break;
    default: return std::nullopt;
  }
  if (!in.sound()) return std::nullopt;
  return command;
}

}  // namespace

bool is_reader_group_name(std::string_view name) {
  constexpr std::string_view kOthers = "._-:/";
  return !name.empty() && name.size() <= kReaderGroupNameBytesMax &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  kOthers.find(c) != std::string_view::npos;
         });
}

std::size_t encoded_bytes(const Command& command) {
  std::size_t bytes = kCommandHeaderBytes + kReaderGroupNameBytesMax + raft::kConfigurationBytesMax;
  if (const auto* report = std::get_if<Report>(&command)) {
    bytes += kReportBytes + report->call.progress.size() * kProgressBytes;
  }
  return bytes;
}

std::vector<std::byte> encode(std::span<const Command> commands) {
  REEL_ASSERT(commands.size() <= kCommandsMax);
  std::vector<std::byte> out;
  put(out, kVersion);
  put_zeros(out, 2);
  put(out, static_cast<std::uint32_t>(commands.size()));
  for (const Command& command : commands) {
    const std::size_t at = out.size();
    put_zeros(out, kCommandHeaderBytes);
    const Kind kind = std::visit([&](const auto& body) { return write(out, body); }, command);
    io::store(out.data() + at, static_cast<std::uint16_t>(kind));
    io::store(out.data() + at + 4, static_cast<std::uint32_t>(out.size() - at - kCommandHeaderBytes));
  }
  return out;
}

std::expected<std::vector<Command>, std::string_view> decode(std::span<const std::byte> payload) {
  if (payload.size() < kCommandsHeaderBytes) return std::unexpected("no header of commands");
  if (io::load<std::uint16_t>(payload.data()) != kVersion)
    return std::unexpected("commands of an unknown version");
  const auto count = io::load<std::uint32_t>(payload.data() + 4);
  if (io::load<std::uint16_t>(payload.data() + 2) != 0 || count > kCommandsMax) {
    return std::unexpected("malformed header of commands");
  }
  Fields in(payload.subspan(kCommandsHeaderBytes));
  std::vector<Command> commands;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (in.failed()) return std::unexpected("malformed command");
    const auto kind = in.take<std::uint16_t>();
    in.zeros(2);
    const auto bytes = in.take<std::uint32_t>();
    auto command = read(static_cast<Kind>(kind), in.take(bytes));
    if (!command) return std::unexpected("malformed command");
    commands.push_back(std::move(*command));
  }
  if (!in.sound()) return std::unexpected("bytes behind the last command");
  return commands;
}

}  // namespace reel::cluster
