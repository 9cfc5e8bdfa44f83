// What happens in a world, and the queue that orders it: (time, seeded tie, sequence). Events live in a pool
// and carry their content; the heap holds 24-byte keys only, so sifting never moves a parcel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/ports/parcel.h"
#include "io/ports/strong.h"
#include "io/ports/time.h"

namespace reel::sim {

// Values are part of the trace format: append, never renumber.
enum class EventKind : std::uint8_t {
  boot = 1,
  wake,
  disk,
  message,
  peer_up,
  peer_down,
  call,
  call_cancelled,
  reply,
  call_failed,
  crash,
  pause,
  resume,
  fault,    // a program started, struck or ended; not counted as an event
  control,  // a function of the harness ran at a planned time; not counted as an event
  note,     // something the harness put into the chain; not counted as an event
};
[[nodiscard]] std::string_view name_of(EventKind kind);

// One event after it was delivered, as traces and observers see it.
struct EventRecord {
  io::Instant time;    // of the world
  io::NodeId machine;  // 0: the world itself
  EventKind kind{};
  std::uint64_t digest = 0;  // of what was delivered
  std::uint64_t chain = 0;   // over all events so far and their effects, this one included
  bool operator==(const EventRecord&) const = default;
};

class Observer {
 public:
  virtual ~Observer() = default;
  // After the host has dealt with the event; its effects are scheduled. May look at everything, and may call
  // World::fail(); it may not change the world otherwise.
  virtual void on_event(const EventRecord& record) = 0;
};

// A pooled event. The meaning of a, b and peer depends on the kind (world.cc, network.cc).
struct Event {
  EventKind kind{};
  std::uint8_t flags = 0;
  std::uint32_t machine = 0;  // index; life must match at delivery, or the event is void
  std::uint32_t life = 0;
  std::uint32_t peer = 0;  // index
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t digest = 0;
  io::Parcel parcel;
};

using EventSlot = std::uint32_t;

class EventQueue {
 public:
  // A slot to fill in place; the content is that of a fresh Event. References stay valid until recycle().
  EventSlot make() {
    if (free_.empty()) grow();
    const EventSlot slot = free_.back();
    free_.pop_back();
    return slot;
  }
  Event& operator[](EventSlot slot) { return chunks_[slot / kChunk][slot % kChunk]; }
  void recycle(EventSlot slot) {
    (*this)[slot] = Event{};
    free_.push_back(slot);
  }

  // tie: any 24 bits; equal times are ordered by it, and equal ties by the order of scheduling.
  void schedule(io::Instant time, std::uint64_t tie, EventSlot slot);

  // Every event that waits, with its time, in no order.
  template <class Visit>
  void visit(Visit&& visit) const {
    for (const Key& key : heap_) visit(io::Instant{key.time}, chunks_[key.slot / kChunk][key.slot % kChunk]);
  }

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  io::Instant next_time() const { return heap_.empty() ? io::kNever : io::Instant{heap_.front().time}; }
  // Takes the first event; the queue is not empty.
  EventSlot pop(io::Instant* time);

 private:
  struct Key {
    std::int64_t time;
    std::uint64_t order;  // tie in the upper 24 bits, sequence in the lower 40
    EventSlot slot;
    bool before(const Key& other) const {
      return time < other.time || (time == other.time && order < other.order);
    }
  };

  static constexpr EventSlot kChunk = 256;
  void grow();

  std::vector<Key> heap_;  // 4-ary: shallower than a binary heap, and four keys share two cache lines
  std::vector<std::unique_ptr<Event[]>> chunks_;
  std::vector<EventSlot> free_;
  std::uint64_t sequence_ = 0;
};

}  // namespace reel::sim
