#include "sim/trace.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::sim {
namespace {

constexpr char kMagic[] = {'R', 'E', 'E', 'L', 'T', 'R', 'C', '1'};
constexpr std::size_t kHeaderBytesMax = 1u << 22;
constexpr std::uint64_t kBodyBytesMax = 1ull << 30;
// A body is mostly hashes, which do not shrink: a larger factor is a bomb, or next to empty.
constexpr std::uint64_t kExpansionMax = 256;
constexpr std::uint64_t kExpansionFree = 1u << 20;
constexpr std::uint64_t kOptionsMax = 4096;
constexpr std::uint64_t kMarksMax = 65'536;
constexpr std::size_t kStringBytesMax = 1u << 21;
constexpr int kCompressionLevel = 3;

class Writer {
 public:
  void byte(std::uint8_t value) { out_.push_back(static_cast<std::byte>(value)); }
  void fixed(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) byte(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) byte(static_cast<std::uint8_t>(value | 128));
    byte(static_cast<std::uint8_t>(value));
  }
  void string(std::string_view text) {
    REEL_CHECK(text.size() <= kStringBytesMax);
    varint(text.size());
    append(std::as_bytes(std::span(text.data(), text.size())));
  }
  void append(std::span<const std::byte> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  std::vector<std::byte>& out() { return out_; }

 private:
  std::vector<std::byte> out_;
};

// Reads until something is wrong; then everything is zero and ok() is false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  std::size_t left() const { return bytes_.size(); }

  std::span<const std::byte> take(std::uint64_t length) {
    if (!ok_ || length > bytes_.size()) {
      fail();
      return {};
    }
    const std::span<const std::byte> taken = bytes_.first(static_cast<std::size_t>(length));
    bytes_ = bytes_.subspan(static_cast<std::size_t>(length));
    return taken;
  }
  std::uint64_t fixed(std::size_t bytes) {
    std::uint64_t value = 0;
    const std::span<const std::byte> taken = take(bytes);
    for (std::size_t i = 0; i < taken.size(); ++i)
      value |= std::to_integer<std::uint64_t>(taken[i]) << (8 * i);
    return value;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(fixed(1)); }
  // One number has one spelling: no idle groups, no bits above the 64th.
  std::uint64_t varint(std::uint64_t highest = UINT64_MAX) {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const std::uint8_t group = byte();
      const bool overflows = shift == 63 && group > 1;
      const bool idle = shift > 0 && group == 0;
      if (!ok_ || overflows || idle) break;
      value |= static_cast<std::uint64_t>(group & 127) << shift;
      if ((group & 128) == 0) {
        if (value <= highest) return value;
        break;
      }
    }
    fail();
    return 0;
  }
  // How many of something that takes at least `each` bytes follow.
  std::uint64_t count(std::uint64_t each, std::uint64_t highest = UINT64_MAX) {
    const std::uint64_t number = varint(highest);
    if (ok_ && number <= left() / each) return number;
    fail();
    return 0;
  }
  std::string string() {
    const std::span<const std::byte> text = take(varint(kStringBytesMax));
    return std::string(reinterpret_cast<const char*>(text.data()), text.size());
  }
  void fail() {
    ok_ = false;
    bytes_ = {};
  }

 private:
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

bool known(EventKind kind) { return kind >= EventKind::boot && kind <= EventKind::note; }
bool known(Choice kind) { return kind >= Choice::tie && kind <= Choice::fault_strike; }

void write_records(Writer& out, const Trace& trace) {
  out.varint(trace.skipped);
  out.varint(trace.records.size());
  std::int64_t previous = 0;
  for (const TraceRecord& record : trace.records) {
    REEL_CHECK(record.time.ns >= previous);
    out.varint(static_cast<std::uint64_t>(record.time.ns - previous));
    previous = record.time.ns;
  }
  for (const TraceRecord& record : trace.records) out.varint(record.machine);
  for (const TraceRecord& record : trace.records) out.byte(static_cast<std::uint8_t>(record.kind));
  for (const TraceRecord& record : trace.records) out.byte(record.content);
  for (const TraceRecord& record : trace.records) out.fixed(record.chain, 2);
}

void read_records(Reader& in, Trace& trace) {
  trace.skipped = in.varint();
  constexpr std::uint64_t kRecordBytesMin = 6;
  trace.records.resize(in.count(kRecordBytesMin));
  std::uint64_t time = 0;
  for (TraceRecord& record : trace.records) {
    time += in.varint(INT64_MAX - time);
    record.time.ns = static_cast<std::int64_t>(time);
  }
  for (TraceRecord& record : trace.records) record.machine = static_cast<std::uint32_t>(in.varint(65'535));
  for (TraceRecord& record : trace.records) {
    record.kind = static_cast<EventKind>(in.byte());
    if (!known(record.kind)) in.fail();
  }
  for (TraceRecord& record : trace.records) record.content = in.byte();
  for (TraceRecord& record : trace.records) record.chain = static_cast<std::uint16_t>(in.fixed(2));
}

std::vector<std::byte> encode_body(const Trace& trace) {
  Writer out;
  out.varint(trace.overrides.size());
  for (const Override& entry : trace.overrides) {
    out.byte(static_cast<std::uint8_t>(entry.key.kind));
    out.varint(entry.key.place);
    out.varint(entry.key.node);
    out.varint(entry.key.counter);
    out.varint(entry.value);
  }
  write_records(out, trace);
  out.fixed(trace.chain, 8);
  out.varint(trace.events);
  out.varint(static_cast<std::uint64_t>(trace.end.ns));
  out.byte(trace.failure ? 1 : 0);
  if (trace.failure) {
    out.string(trace.failure->oracle);
    out.string(trace.failure->signature);
    out.string(trace.failure->text);
  }
  out.varint(trace.marks.size());
  for (const std::string& mark : trace.marks) out.string(mark);
  return std::move(out.out());
}

bool decode_body(Reader in, Trace& trace) {
  constexpr std::uint64_t kOverrideBytesMin = 5;
  trace.overrides.resize(in.count(kOverrideBytesMin));
  for (Override& entry : trace.overrides) {
    entry.key.kind = static_cast<Choice>(in.byte());
    if (!known(entry.key.kind)) in.fail();
    entry.key.place = static_cast<std::uint32_t>(in.varint(UINT32_MAX));
    entry.key.node = static_cast<std::uint32_t>(in.varint(UINT32_MAX));
    entry.key.counter = in.varint();
    entry.value = in.varint();
  }
  read_records(in, trace);
  trace.chain = in.fixed(8);
  trace.events = in.varint();
  trace.end.ns = static_cast<std::int64_t>(in.varint(INT64_MAX));
  const std::uint8_t failed = in.byte();
  if (failed > 1) in.fail();
  if (failed == 1) {
    TraceFailure failure;
    failure.oracle = in.string();
    failure.signature = in.string();
    failure.text = in.string();
    trace.failure = std::move(failure);
  }
  trace.marks.resize(in.count(1, kMarksMax));
  for (std::string& mark : trace.marks) mark = in.string();
  return in.ok() && in.left() == 0;
}

std::vector<std::byte> encode_header(const Trace& trace) {
  Writer out;
  out.varint(trace.seed);
  out.string(trace.build);
  REEL_CHECK(trace.options.size() <= kOptionsMax);
  out.varint(trace.options.size());
  for (const auto& [key, value] : trace.options) {
    out.string(key);
    out.string(value);
  }
  REEL_CHECK(out.out().size() <= kHeaderBytesMax);
  return std::move(out.out());
}

bool decode_header(Reader in, Trace& trace) {
  trace.seed = in.varint();
  trace.build = in.string();
  const std::uint64_t options = in.count(2, kOptionsMax);
  std::string previous;
  for (std::uint64_t i = 0; i < options; ++i) {
    std::string key = in.string();
    std::string value = in.string();
    if (i > 0 && key <= previous) in.fail();
    previous = key;
    trace.options.emplace(std::move(key), std::move(value));
  }
  return in.ok() && in.left() == 0;
}

// Piece by piece, so that memory is taken for what is really there and not for what a header claims.
std::expected<std::vector<std::byte>, std::string> decompress(std::span<const std::byte> packed,
                                                              std::uint64_t length) {
  constexpr std::size_t kPiece = 1u << 16;
  std::vector<std::byte> out;
  ZSTD_DCtx* const context = ZSTD_createDCtx();
  if (context == nullptr) return std::unexpected("no memory to decompress a trace");
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t hint = 1;
  bool good = true;
  while (good && hint != 0) {
    const std::size_t before = out.size();
    const std::size_t consumed = in.pos;
    out.resize(before + kPiece);
    ZSTD_outBuffer piece{out.data() + before, kPiece, 0};
    hint = ZSTD_decompressStream(context, &piece, &in);
    out.resize(before + piece.pos);
    const bool moved = piece.pos > 0 || in.pos > consumed;
    good = ZSTD_isError(hint) == 0 && moved && out.size() <= length;
  }
  ZSTD_freeDCtx(context);
  if (!good || in.pos != packed.size() || out.size() != length) {
    return std::unexpected("the body of the trace is damaged");
  }
  return out;
}

}  // namespace

TraceRecord abridge(const EventRecord& record) {
  return {record.time, static_cast<std::uint32_t>(record.machine.value), record.kind,
          static_cast<std::uint8_t>(record.digest), static_cast<std::uint16_t>(record.chain)};
}

std::string describe(const TraceRecord& record) {
  const auto hex = [](std::uint64_t value, int digits) {
    std::string text;
    for (int i = digits - 1; i >= 0; --i) text += "0123456789abcdef"[(value >> (4 * i)) & 15];
    return text;
  };
  std::string fraction = std::to_string(record.time.ns % 1'000'000'000);
  fraction.insert(0, 9 - std::min<std::size_t>(9, fraction.size()), '0');
  std::string text = std::to_string(record.time.ns / 1'000'000'000) + "." + fraction + " s ";
  text += record.machine == 0 ? "world" : "machine " + std::to_string(record.machine);
  text += " " + std::string(name_of(record.kind));
  text += " content " + hex(record.content, 2) + " chain " + hex(record.chain, 4);
  return text;
}

std::vector<std::byte> encode_trace(const Trace& trace) {
  const std::vector<std::byte> header = encode_header(trace);
  const std::vector<std::byte> body = encode_body(trace);
  std::vector<std::byte> packed(ZSTD_compressBound(body.size()));
  const std::size_t length =
      ZSTD_compress(packed.data(), packed.size(), body.data(), body.size(), kCompressionLevel);
  REEL_CHECK(ZSTD_isError(length) == 0 && body.size() <= kBodyBytesMax);
  packed.resize(length);
  Writer out;
  out.append(std::as_bytes(std::span(kMagic)));
  out.fixed(kTraceVersion, 4);
  out.fixed(header.size(), 4);
  out.append(header);
  out.fixed(body.size(), 8);
  out.fixed(packed.size(), 8);
  out.append(packed);
  out.fixed(io::digest64(out.out()), 8);
  return std::move(out.out());
}

std::expected<Trace, std::string> decode_trace(std::span<const std::byte> bytes) {
  constexpr std::size_t kChecksumBytes = 8;
  Reader in(bytes);
  const std::span<const std::byte> magic = in.take(sizeof kMagic);
  if (magic.empty() || std::memcmp(magic.data(), kMagic, sizeof kMagic) != 0) {
    return std::unexpected("not a trace of a simulated run");
  }
  const std::uint64_t version = in.fixed(4);
  if (version != kTraceVersion) {
    return std::unexpected("a trace of version " + std::to_string(version) + "; this build reads version " +
                           std::to_string(kTraceVersion));
  }
  if (in.left() < kChecksumBytes) return std::unexpected("the trace is cut short");
  const std::size_t covered = bytes.size() - kChecksumBytes;
  if (Reader(bytes.subspan(covered)).fixed(8) != io::digest64(bytes.first(covered))) {
    return std::unexpected("the trace is damaged or cut short");
  }
  Trace trace;
  const std::uint64_t header_length = in.fixed(4);
  const std::span<const std::byte> header = in.take(std::min<std::uint64_t>(header_length, kHeaderBytesMax));
  if (!in.ok() || header.size() != header_length || !decode_header(Reader(header), trace)) {
    return std::unexpected("the header of the trace is damaged");
  }
  const std::uint64_t length = in.fixed(8);
  const std::uint64_t packed_length = in.fixed(8);
  const std::span<const std::byte> packed = in.take(packed_length);
  if (!in.ok() || in.left() != kChecksumBytes)
    return std::unexpected("the lengths of the trace do not add up");
  if (length > kBodyBytesMax || length > kExpansionFree + kExpansionMax * packed.size()) {
    return std::unexpected("the trace is larger than any that a run makes");
  }
  const std::expected<std::vector<std::byte>, std::string> body = decompress(packed, length);
  if (!body) return std::unexpected(body.error());
  if (!decode_body(Reader(*body), trace)) return std::unexpected("the body of the trace is damaged");
  return trace;
}

// ---- recording --------------------------------------------------------------------------------------------

Recorder::Recorder(World& world, std::size_t records_max) : world_(world), records_max_(records_max) {
  REEL_CHECK(world.events() == 0 && "recording starts with the world");
  world_.add_observer(this);
}

Recorder::~Recorder() { world_.remove_observer(this); }

void Recorder::on_event(const EventRecord& record) {
  const std::uint64_t index = seen_++;
  if (records_max_ == 0 || records_.size() < records_max_) {
    records_.push_back(abridge(record));
  } else {
    records_[index % records_max_] = abridge(record);
  }
}

Trace Recorder::trace() const {
  Trace trace;
  trace.seed = world_.options().seed;
  trace.skipped = seen_ - records_.size();
  trace.records = records_;
  if (trace.skipped > 0) {
    const auto first = static_cast<std::ptrdiff_t>(seen_ % records_max_);
    std::rotate(trace.records.begin(), trace.records.begin() + first, trace.records.end());
  }
  trace.chain = world_.chain();
  trace.events = world_.events();
  trace.end = world_.time();
  if (const std::optional<Failure>& failure = world_.failure()) {
    trace.failure = TraceFailure{failure->oracle, failure->signature, failure->text};
  }
  return trace;
}

// ---- replaying --------------------------------------------------------------------------------------------

Replayer::Replayer(World& world, const Trace& trace) : world_(world), trace_(trace) {
  REEL_CHECK(world.events() == 0 && "replaying starts with the world");
  world_.add_observer(this);
}

Replayer::~Replayer() { world_.remove_observer(this); }

void Replayer::diverge(std::optional<TraceRecord> recorded, std::optional<TraceRecord> live,
                       std::string why) {
  if (divergence_) return;
  std::string text = "record " + std::to_string(next_) + ": " + why;
  if (recorded) text += "; recorded: " + describe(*recorded);
  if (live) text += "; live: " + describe(*live);
  divergence_ = Divergence{next_, recorded, live, std::move(text)};
  world_.fail("replay", "divergence", divergence_->text);
}

void Replayer::on_event(const EventRecord& record) {
  if (divergence_) return;
  const TraceRecord live = abridge(record);
  if (next_ >= trace_.skipped) {
    const std::uint64_t index = next_ - trace_.skipped;
    if (index >= trace_.records.size()) {
      diverge(std::nullopt, live, "the recording has ended, the run goes on");
    } else if (const TraceRecord& recorded = trace_.records[index]; recorded != live) {
      std::string why = "another event";
      const bool same_event =
          recorded.time == live.time && recorded.machine == live.machine && recorded.kind == live.kind;
      if (same_event)
        why = recorded.content != live.content ? "other content" : "the same event, other effects";
      diverge(recorded, live, why);
    }
  }
  ++next_;
}

const std::optional<Divergence>& Replayer::finish() {
  if (divergence_) return divergence_;
  const std::uint64_t recorded = trace_.skipped + trace_.records.size();
  if (next_ < recorded) {
    std::optional<TraceRecord> missing;
    if (next_ >= trace_.skipped) missing = trace_.records[next_ - trace_.skipped];
    diverge(missing, std::nullopt, "the run has ended, the recording goes on");
  } else if (world_.chain() != trace_.chain || world_.events() != trace_.events) {
    diverge(std::nullopt, std::nullopt, "the records agree, the final chain does not");
  } else if (world_.failed() != trace_.failure.has_value() ||
             (world_.failed() && world_.failure()->signature != trace_.failure->signature)) {
    diverge(std::nullopt, std::nullopt, "the events agree, the verdict does not");
  }
  return divergence_;
}

}  // namespace reel::sim
