// Transport: what all connections of one process share, and FrameStream, one connection's messages as bytes.
//
// System calls are what small messages cost. So nothing is written where it is said: a stream collects the
// messages of a turn and writes them at its end (Outlet), and it reads as much as there is and then cuts it
// into messages.
//
// A turn ends when nothing is left to do; only then are messages sent, and only then does the loop learn what else has
// arrived. Callers who send more than can be worked off would make turns as long as they like, and a node that neither
// hears its peers nor sends its heartbeats loses its lead. So a turn takes at most kTurnBytesMax of messages from callers,
// and one more each; the others have theirs in the next ones, in the order in which they came. Peers are not counted.
//
// Bytes from strangers: the header of each message is checked before memory is taken for it. Until
// authenticate() a stream accepts kStrangerBytesMax in all, and keeps a buffer of 4 KiB.
#pragma once

#include <capnp/serialize-async.h>
#include <kj/async-io.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/ports/bytes.h"
#include "io/ports/strong.h"
#include "io/real/event_loop.h"

namespace reel::real {

// What an unknown caller may send on one connection; the memory it can make us take is bounded by it.
inline constexpr std::uint64_t kStrangerBytesMax = 64u << 10;
// One message from somebody known. The largest legal ones are a batch of peers' messages (8 MiB of payloads)
// and a feed's answer (12 MiB).
inline constexpr std::uint64_t kFrameBytesMax = 16u << 20;
// Flow control: bytes on their way over one connection that the other end has not taken.
inline constexpr std::uint64_t kWindowBytes = 4u << 20;
// Of callers' messages in one turn: some milliseconds of work.
inline constexpr std::uint64_t kTurnBytesMax = 1u << 20;

// What the transport needs of the loop that it runs on; a simulation has another loop.
class Reactor {
 public:
  virtual ~Reactor() = default;
  virtual kj::Timer& timer() = 0;
  virtual void add_flusher(Flusher& flusher) = 0;
  virtual void remove_flusher(Flusher& flusher) = 0;
  virtual void request_flush() = 0;
  virtual void note_activity() = 0;
};

class LoopReactor final : public Reactor {
 public:
  explicit LoopReactor(Loop& loop) : loop_(loop) {}
  kj::Timer& timer() override { return loop_.io().provider->getTimer(); }
  void add_flusher(Flusher& flusher) override { loop_.add_flusher(FlushPhase::network, flusher); }
  void remove_flusher(Flusher& flusher) override { loop_.remove_flusher(flusher); }
  void request_flush() override { loop_.request_flush(); }
  void note_activity() override { loop_.note_activity(); }

 private:
  Loop& loop_;
};

// Makes byte streams to an address.
class Dialer {
 public:
  virtual ~Dialer() = default;
  virtual kj::Promise<kj::Own<kj::AsyncIoStream>> dial(const std::string& address) = 0;
};

// TCP, "host:port". The other end counts as gone when it acknowledges nothing for kSilenceMax.
class SocketDialer final : public Dialer {
 public:
  explicit SocketDialer(kj::Network& network) : network_(network) {}
  kj::Promise<kj::Own<kj::AsyncIoStream>> dial(const std::string& address) override;

 private:
  kj::Network& network_;
};
inline constexpr io::Duration kSilenceMax = io::seconds(5);
// Sets that limit on a socket; a stream that is none is left alone.
void limit_silence(kj::AsyncIoStream& stream);

// A node of the cluster and where it listens, "host:port".
struct Member {
  io::NodeId node;
  std::string address;
};
inline constexpr std::size_t kMembersMax = 64;
inline constexpr std::size_t kAddressBytesMax = 256;

// Counted since the start; TransportCounters of io/schema/client.capnp explains them.
struct TransportCounters {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  std::uint64_t logins = 0;
  std::uint64_t logins_refused = 0;
  std::uint64_t logins_late = 0;
  std::uint64_t frames_refused = 0;
  std::uint64_t calls = 0;
  std::uint64_t calls_cancelled = 0;
  std::uint64_t peer_messages_sent = 0;
  std::uint64_t peer_messages_received = 0;
  std::uint64_t peer_messages_dropped = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t writes = 0;
};

// Something with output to send at the end of the turn.
class Outlet {
 public:
  virtual ~Outlet() = default;

 protected:
  virtual void flush() = 0;

 private:
  friend class Transport;
  bool marked_ = false;
};

class Transport final : private Flusher {
 public:
  // A notice is one line for the operator: rare things, one line each.
  using Notice = std::function<void(const std::string&)>;
  explicit Transport(Reactor& reactor, Notice notice = {});
  ~Transport() noexcept override;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // outlet.flush() runs once at the end of this turn. As often as you like.
  void mark(Outlet& outlet);
  // Before a marked outlet dies.
  void forget(Outlet& outlet);

  // A caller's message was taken.
  void count_taken(std::uint64_t bytes);
  // This turn has taken enough of callers.
  bool turn_is_full() const { return !waiting_.empty() || turn_bytes_ >= kTurnBytesMax; }
  // Ready when it is the caller's turn, a later one than this.
  kj::Promise<void> next_turn();

  kj::Timer& timer() { return reactor_.timer(); }
  void note_activity() { reactor_.note_activity(); }
  void notice(const std::string& line) {
    if (notice_) notice_(line);
  }
  TransportCounters& counters() { return counters_; }

 private:
  void flush() override;
  void await_turn();
  void begin_turn();
  void let_in();

  Reactor& reactor_;
  Notice notice_;
  TransportCounters counters_;
  std::vector<Outlet*> marked_;
  std::vector<Outlet*> flushing_;
  std::uint64_t turn_bytes_ = 0;
  std::deque<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  bool turn_awaited_ = false;
  kj::Promise<void> turn_ = nullptr;
  kj::Promise<void> done_turn_ = nullptr;  // may be the one that runs
};

// The received messages that somebody still reads, and the way to keep a payload of one of them beyond that.
class FrameMemory {
 public:
  // `content` lies in a message that is still being read, or anywhere else. What is at least an eighth of its
  // message keeps the message's memory alive, so that memory held is bounded by eight times the payloads; the
  // rest is copied.
  [[nodiscard]] io::Bytes share(kj::ArrayPtr<const kj::byte> content) const;

 private:
  friend class LiveFrame;
  std::vector<class LiveFrame*> live_;
};

// Cap'n Proto's message stream over any byte stream.
class FrameStream final : public capnp::MessageStream, private Outlet {
 public:
  FrameStream(Transport& transport, kj::Own<kj::AsyncIoStream> inner, bool trusted);
  ~FrameStream() noexcept override;

  // Its messages count as a caller's: see kTurnBytesMax.
  void take_turns(bool takes) { takes_turns_ = takes; }
  // From now on the other end may send messages of so many bytes (at most kFrameBytesMax), and as many as it likes.
  void authenticate(std::uint64_t frame_bytes_max = kFrameBytesMax);
  const std::shared_ptr<FrameMemory>& memory() const { return memory_; }

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> descriptors, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratch) override;
  kj::Promise<void> writeMessage(kj::ArrayPtr<const int> descriptors,
                                 kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override;
  kj::Promise<void> end() override;

 private:
  using Read = kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>>;
  using Segments = kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>;
  struct Head {
    std::size_t needed = 0;   // bytes that must be buffered before more can be said; 0: `bytes` is known
    std::uint64_t bytes = 0;  // of the whole message, its segment table included
    const char* refusal = nullptr;
  };

  Head parse_head() const;
  Read next(capnp::ReaderOptions options);
  Read next_in_turn(capnp::ReaderOptions options);
  Read fill(std::size_t wanted, capnp::ReaderOptions options);
  Read read_rest(std::uint64_t bytes, capnp::ReaderOptions options);
  Read refuse(const char* why);
  void received(std::size_t bytes);
  std::size_t buffered() const { return end_ - begin_; }

  void flush() override;
  kj::Promise<void> write_out();
  kj::Promise<void> write_directly(Segments segments);
  kj::Promise<void> until_idle();
  kj::Exception fail(kj::Exception&& exception);

  Transport& transport_;
  kj::Own<kj::AsyncIoStream> inner_;
  std::shared_ptr<FrameMemory> memory_;
  bool trusted_;
  bool takes_turns_ = false;
  std::uint64_t frame_bytes_max_ = kFrameBytesMax;

  // Received and not yet cut: in_[begin_, end_).
  std::vector<std::byte> in_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t taken_ = 0;  // bytes of all messages so far

  // Said and not yet written; what is being written; at most one write at a time.
  std::vector<std::byte> out_;
  std::vector<std::byte> flushing_;
  bool writing_ = false;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> idle_;
  kj::Maybe<kj::Exception> broken_;
  kj::Promise<void> write_task_ = nullptr;
};

}  // namespace reel::real
