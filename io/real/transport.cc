#include "io/real/transport.h"

#include <capnp/serialize.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "io/ports/assert.h"

namespace reel::real {
namespace {

constexpr std::size_t kStrangerBufferBytes = 4u << 10;
constexpr std::size_t kBufferBytes = 64u << 10;
// Messages from this size on are written from where they lie.
constexpr std::size_t kDirectBytes = 64u << 10;
// A writer that gets this far ahead of the socket waits.
constexpr std::size_t kOutBytesMax = 1u << 20;
constexpr std::uint32_t kSegmentsMax = 256;

std::uint32_t load32(const std::byte* from) {
  std::uint32_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// A message's segment table (capnproto.org/encoding.html): u32 segments - 1, u32 words of each, padded to
// words.
constexpr std::size_t table_bytes(std::size_t segments) { return (segments / 2 + 1) * sizeof(capnp::word); }

void append(std::vector<std::byte>& to, const void* from, std::size_t size) {
  const auto* bytes = static_cast<const std::byte*>(from);
  to.insert(to.end(), bytes, bytes + size);
}

void append_table(std::vector<std::byte>& to, kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  const std::size_t end = to.size() + table_bytes(segments.size());
  const auto put = [&](std::size_t number) {
    const auto value = static_cast<std::uint32_t>(number);
    append(to, &value, sizeof value);
  };
  put(segments.size() - 1);
  for (const auto& segment : segments) put(segment.size());
  to.resize(end);
}

}  // namespace

// ---- addresses

void limit_silence(kj::AsyncIoStream& stream) {
  const unsigned silence_ms = static_cast<unsigned>(kSilenceMax.ns / 1'000'000);
  const int on = 1;
  const int idle_s = 2;
  const int interval_s = 1;
  // A stream that is not a socket says "unimplemented"; it has no silence to limit.
  auto ignored = kj::runCatchingExceptions([&] {
    stream.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof silence_ms);
    stream.setsockopt(SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    stream.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    stream.setsockopt(IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  });
  (void)ignored;
}

kj::Promise<kj::Own<kj::AsyncIoStream>> SocketDialer::dial(const std::string& address) {
  return network_.parseAddress(kj::StringPtr(address.c_str()))
      .then([](kj::Own<kj::NetworkAddress>&& parsed) {
        auto connecting = parsed->connect();
        return connecting.attach(kj::mv(parsed));
      })
      .then([](kj::Own<kj::AsyncIoStream>&& stream) {
        limit_silence(*stream);
        return kj::mv(stream);
      });
}

// ---- Transport

Transport::Transport(Reactor& reactor, Notice notice) : reactor_(reactor), notice_(std::move(notice)) {
  reactor_.add_flusher(*this);
}

Transport::~Transport() noexcept { reactor_.remove_flusher(*this); }

void Transport::mark(Outlet& outlet) {
  if (outlet.marked_) return;
  outlet.marked_ = true;
  marked_.push_back(&outlet);
  reactor_.request_flush();
}

void Transport::forget(Outlet& outlet) {
  std::replace(marked_.begin(), marked_.end(), &outlet, static_cast<Outlet*>(nullptr));
  std::replace(flushing_.begin(), flushing_.end(), &outlet, static_cast<Outlet*>(nullptr));
}

void Transport::count_taken(std::uint64_t bytes) {
  turn_bytes_ += bytes;
  if (turn_bytes_ >= kTurnBytesMax) await_turn();
  let_in();
}

kj::Promise<void> Transport::next_turn() {
  auto place = kj::newPromiseAndFulfiller<void>();
  waiting_.push_back(kj::mv(place.fulfiller));
  await_turn();
  return kj::mv(place.promise);
}

// A timer rings when nothing is left to do, and the loop has looked at its sockets.
void Transport::await_turn() {
  if (std::exchange(turn_awaited_, true)) return;
  turn_ = timer().afterDelay(0 * kj::NANOSECONDS).then([this] { begin_turn(); }).eagerlyEvaluate(nullptr);
}

void Transport::begin_turn() {
  turn_bytes_ = 0;
  done_turn_ = kj::mv(turn_);  // it runs now
  turn_awaited_ = false;
  let_in();
  if (!waiting_.empty()) await_turn();
}

// One after the other: whoever is let in may have nothing yet.
void Transport::let_in() {
  while (!waiting_.empty() && !waiting_.front()->isWaiting())
    waiting_.pop_front();  // their connections ended
  if (waiting_.empty() || turn_bytes_ >= kTurnBytesMax) return;
  auto first = kj::mv(waiting_.front());
  waiting_.pop_front();
  first->fulfill();
}

void Transport::flush() {
  REEL_CHECK(flushing_.empty());
  flushing_.swap(marked_);
  // By index: an outlet may make others die, which replaces them by nullptr here.
  for (std::size_t i = 0; i < flushing_.size(); ++i) {
    if (flushing_[i] == nullptr) continue;
    flushing_[i]->marked_ = false;
    flushing_[i]->flush();
  }
  flushing_.clear();
}

// ---- FrameMemory

// A received message in memory of exactly its size.
class LiveFrame final : public capnp::FlatArrayMessageReader {
 public:
  using Memory = std::shared_ptr<capnp::word[]>;
  LiveFrame(std::shared_ptr<FrameMemory> frames, Memory memory, std::size_t words,
            capnp::ReaderOptions limits)
      : FlatArrayMessageReader(kj::arrayPtr(memory.get(), words), limits),
        frames_(std::move(frames)),
        memory_(std::move(memory)),
        bytes_(words * sizeof(capnp::word)) {
    frames_->live_.push_back(this);
  }
  ~LiveFrame() noexcept(false) override { std::erase(frames_->live_, this); }

  bool holds(kj::ArrayPtr<const kj::byte> content) const {
    const auto* first = reinterpret_cast<const kj::byte*>(memory_.get());
    return content.begin() >= first && content.end() <= first + bytes_;
  }
  std::size_t bytes() const { return bytes_; }
  const Memory& memory() const { return memory_; }

 private:
  std::shared_ptr<FrameMemory> frames_;
  Memory memory_;
  std::size_t bytes_;
};

io::Bytes FrameMemory::share(kj::ArrayPtr<const kj::byte> content) const {
  const std::span<const std::byte> span = std::as_bytes(std::span(content.begin(), content.size()));
  if (span.empty()) return {};
  // The newest is the likeliest.
  for (auto frame = live_.rbegin(); frame != live_.rend(); ++frame) {
    if (!(*frame)->holds(content)) continue;
    if (span.size() * 8 < (*frame)->bytes()) break;
    return io::Bytes::kept_by((*frame)->memory(), span);
  }
  return io::Bytes::copy_of(span);
}

// ---- FrameStream, reading

FrameStream::FrameStream(Transport& transport, kj::Own<kj::AsyncIoStream> inner, bool trusted)
    : transport_(transport),
      inner_(kj::mv(inner)),
      memory_(std::make_shared<FrameMemory>()),
      trusted_(trusted),
      in_(trusted ? kBufferBytes : kStrangerBufferBytes) {}

FrameStream::~FrameStream() noexcept { transport_.forget(*this); }

FrameStream::Read FrameStream::tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd>, capnp::ReaderOptions options,
                                              kj::ArrayPtr<capnp::word>) {
  if (!takes_turns_) return next(options);
  if (!transport_.turn_is_full()) return next_in_turn(options);
  return transport_.next_turn().then([this, options] { return next_in_turn(options); });
}

FrameStream::Read FrameStream::next_in_turn(capnp::ReaderOptions options) {
  const std::uint64_t before = taken_;
  return next(options).then([this, before](kj::Maybe<capnp::MessageReaderAndFds>&& message) {
    transport_.count_taken(taken_ - before);
    return kj::mv(message);
  });
}

void FrameStream::authenticate(std::uint64_t frame_bytes_max) {
  REEL_ASSERT(frame_bytes_max <= kFrameBytesMax);
  // A caller that logs in twice keeps the larger right.
  frame_bytes_max_ = trusted_ ? std::max(frame_bytes_max_, frame_bytes_max) : frame_bytes_max;
  trusted_ = true;
}

FrameStream::Head FrameStream::parse_head() const {
  if (buffered() < sizeof(capnp::word)) return {sizeof(capnp::word), 0, nullptr};
  const std::byte* table = in_.data() + begin_;
  const std::uint32_t last = load32(table);
  if (last >= kSegmentsMax) return {0, 0, "it has too many segments"};
  const std::size_t head = table_bytes(last + 1);
  if (buffered() < head) return {head, 0, nullptr};
  std::uint64_t bytes = head;
  for (std::uint32_t i = 0; i <= last; ++i) {
    bytes += std::uint64_t{load32(table + std::size_t{4} * (i + 1))} * sizeof(capnp::word);
  }
  if (bytes > frame_bytes_max_) return {0, 0, "it is larger than allowed"};
  if (!trusted_ && taken_ + bytes > kStrangerBytesMax) return {0, 0, "it is more than a stranger may send"};
  return {0, bytes, nullptr};
}

FrameStream::Read FrameStream::next(capnp::ReaderOptions options) {
  const Head head = parse_head();
  if (head.refusal != nullptr) return refuse(head.refusal);
  if (head.needed != 0) return fill(head.needed, options);
  if (buffered() >= head.bytes) return read_rest(head.bytes, options);
  // A short rest is worth reading together with what follows it; a long one goes to its place directly.
  const bool fits = head.bytes <= in_.size();
  if (fits && head.bytes - buffered() <= in_.size() / 4) return fill(head.bytes, options);
  return read_rest(head.bytes, options);
}

FrameStream::Read FrameStream::fill(std::size_t wanted, capnp::ReaderOptions options) {
  if (begin_ != 0) {
    std::memmove(in_.data(), in_.data() + begin_, buffered());
    end_ -= begin_;
    begin_ = 0;
  }
  if (trusted_ && in_.size() < kBufferBytes) in_.resize(kBufferBytes);
  REEL_CHECK(wanted > end_ && wanted <= in_.size());
  const std::size_t missing = wanted - end_;
  return kj::evalNow([&] { return inner_->tryRead(in_.data() + end_, missing, in_.size() - end_); })
      .then([this, missing, options](std::size_t got) -> Read {
        received(got);
        end_ += got;
        if (got >= missing) return next(options);
        if (buffered() == 0) return kj::Maybe<capnp::MessageReaderAndFds>(nullptr);
        return KJ_EXCEPTION(DISCONNECTED, "the connection ended in the middle of a message");
      });
}

FrameStream::Read FrameStream::read_rest(std::uint64_t bytes, capnp::ReaderOptions options) {
  const std::size_t words = bytes / sizeof(capnp::word);
  auto memory = std::make_shared_for_overwrite<capnp::word[]>(words);
  auto* to = reinterpret_cast<std::byte*>(memory.get());
  const std::size_t have = std::min<std::size_t>(buffered(), bytes);
  std::memcpy(to, in_.data() + begin_, have);
  begin_ += have;
  taken_ += bytes;
  const auto finish = [this, memory, words, options]() -> kj::Maybe<capnp::MessageReaderAndFds> {
    return capnp::MessageReaderAndFds{kj::heap<LiveFrame>(memory_, memory, words, options), nullptr};
  };
  if (have == bytes) return finish();
  const std::size_t missing = bytes - have;
  return kj::evalNow([&] { return inner_->tryRead(to + have, missing, missing); })
      .then([this, missing, finish](std::size_t got) -> Read {
        received(got);
        if (got < missing)
          return KJ_EXCEPTION(DISCONNECTED, "the connection ended in the middle of a message");
        return finish();
      });
}

FrameStream::Read FrameStream::refuse(const char* why) {
  ++transport_.counters().frames_refused;
  transport_.notice(std::string("closed a connection: its message was refused, ") + why);
  return KJ_EXCEPTION(FAILED, "message refused", why);
}

void FrameStream::received(std::size_t bytes) {
  transport_.counters().bytes_received += bytes;
  transport_.note_activity();
}

// ---- FrameStream, writing

kj::Promise<void> FrameStream::writeMessage(kj::ArrayPtr<const int>, Segments segments) {
  KJ_IF_MAYBE (exception, broken_) return kj::cp(*exception);
  std::size_t bytes = table_bytes(segments.size());
  for (const auto& segment : segments) bytes += segment.size() * sizeof(capnp::word);
  if (bytes >= kDirectBytes) return write_directly(segments);
  append_table(out_, segments);
  for (const auto& segment : segments) append(out_, segment.begin(), segment.size() * sizeof(capnp::word));
  transport_.mark(*this);
  if (out_.size() < kOutBytesMax) return kj::READY_NOW;
  return until_idle();
}

kj::Promise<void> FrameStream::writeMessages(kj::ArrayPtr<Segments> messages) {
  kj::Promise<void> written = kj::READY_NOW;
  for (const Segments& segments : messages) {
    written = written.then([this, segments] { return writeMessage(nullptr, segments); });
  }
  return written;
}

void FrameStream::flush() {
  if (writing_ || out_.empty()) return;
  write_task_ = write_out().eagerlyEvaluate([this](kj::Exception&& exception) { fail(kj::mv(exception)); });
}

kj::Promise<void> FrameStream::write_out() {
  REEL_CHECK(!writing_ && !out_.empty());
  writing_ = true;
  flushing_.swap(out_);
  transport_.counters().bytes_sent += flushing_.size();
  ++transport_.counters().writes;
  // evalNow: a socket that is already broken throws here, instead of giving a broken promise.
  return kj::evalNow([this] { return inner_->write(flushing_.data(), flushing_.size()); }).then([this] {
    flushing_.clear();
    writing_ = false;
    KJ_IF_MAYBE (waiter, idle_) {
      (*waiter)->fulfill();
      idle_ = nullptr;
    }
    if (!out_.empty()) transport_.mark(*this);
  });
}

kj::Promise<void> FrameStream::write_directly(Segments segments) {
  if (writing_) return until_idle().then([this, segments] { return write_directly(segments); });
  writing_ = true;
  flushing_.swap(out_);
  append_table(flushing_, segments);
  auto pieces = kj::heapArray<kj::ArrayPtr<const kj::byte>>(segments.size() + 1);
  pieces[0] = kj::arrayPtr(reinterpret_cast<const kj::byte*>(flushing_.data()), flushing_.size());
  for (std::size_t i = 0; i < segments.size(); ++i) pieces[i + 1] = segments[i].asBytes();
  for (const auto& piece : pieces) transport_.counters().bytes_sent += piece.size();
  ++transport_.counters().writes;
  auto writing = kj::evalNow([&] { return inner_->write(pieces); });
  return writing.attach(kj::mv(pieces))
      .then(
          [this] {
            flushing_.clear();
            writing_ = false;
            if (!out_.empty()) transport_.mark(*this);
          },
          [this](kj::Exception&& exception) { kj::throwRecoverableException(fail(kj::mv(exception))); });
}

kj::Promise<void> FrameStream::until_idle() {
  KJ_IF_MAYBE (exception, broken_) return kj::cp(*exception);
  if (!writing_ && out_.empty()) return kj::READY_NOW;
  // The RPC system says one message after the other, so there is one to wait.
  REEL_CHECK(idle_ == nullptr);
  auto waiting = kj::newPromiseAndFulfiller<void>();
  idle_ = kj::mv(waiting.fulfiller);
  return kj::mv(waiting.promise);
}

kj::Exception FrameStream::fail(kj::Exception&& exception) {
  KJ_IF_MAYBE (waiter, idle_) {
    (*waiter)->reject(kj::cp(exception));
    idle_ = nullptr;
  }
  if (broken_ == nullptr) broken_ = kj::cp(exception);
  // The reader learns of it too, else a connection that is only listened to would never end. A socket that is
  // already gone refuses, which is just as well.
  auto ignored = kj::runCatchingExceptions([this] { inner_->abortRead(); });
  (void)ignored;
  return kj::mv(exception);
}

kj::Maybe<int> FrameStream::getSendBufferSize() { return static_cast<int>(kWindowBytes); }

kj::Promise<void> FrameStream::end() {
  return until_idle().then([this] { inner_->shutdownWrite(); });
}

}  // namespace reel::real
