#include "sim/event.h"

#include "io/ports/assert.h"

namespace reel::sim {

std::string_view name_of(EventKind kind) {
  switch (kind) {
    case EventKind::boot: return "boot";
    case EventKind::wake: return "wake";
    case EventKind::disk: return "disk";
    case EventKind::message: return "message";
    case EventKind::peer_up: return "peer_up";
    case EventKind::peer_down: return "peer_down";
    case EventKind::call: return "call";
    case EventKind::call_cancelled: return "call_cancelled";
    case EventKind::reply: return "reply";
    case EventKind::call_failed: return "call_failed";
    case EventKind::crash: return "crash";
    case EventKind::pause: return "pause";
    case EventKind::resume: return "resume";
    case EventKind::fault: return "fault";
    case EventKind::control: return "control";
    case EventKind::note: return "note";
  }
  return "?";
}

void EventQueue::grow() {
  const auto base = static_cast<EventSlot>(chunks_.size() * kChunk);
  chunks_.push_back(std::make_unique<Event[]>(kChunk));
  // The lowest slot is used first.
  for (EventSlot i = kChunk; i > 0; --i) free_.push_back(base + i - 1);
}

void EventQueue::schedule(io::Instant time, std::uint64_t tie, EventSlot slot) {
  constexpr std::uint64_t kSequenceMax = 1ull << 40;
  REEL_CHECK(tie < (1u << 24) && sequence_ < kSequenceMax);
  const Key key{time.ns, (tie << 40) | sequence_++, slot};
  std::size_t hole = heap_.size();
  heap_.push_back(key);
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / 4;
    if (!key.before(heap_[parent])) break;
    heap_[hole] = heap_[parent];
    hole = parent;
  }
  heap_[hole] = key;
}

EventSlot EventQueue::pop(io::Instant* time) {
  REEL_CHECK(!heap_.empty());
  const Key first = heap_.front();
  const Key moved = heap_.back();
  heap_.pop_back();
  const std::size_t count = heap_.size();
  if (count > 0) {
    std::size_t hole = 0;
    for (;;) {
      const std::size_t child = 4 * hole + 1;
      if (child >= count) break;
      std::size_t least = child;
      const std::size_t end = child + 4 < count ? child + 4 : count;
      for (std::size_t other = child + 1; other < end; ++other) {
        if (heap_[other].before(heap_[least])) least = other;
      }
      if (!heap_[least].before(moved)) break;
      heap_[hole] = heap_[least];
      hole = least;
    }
    heap_[hole] = moved;
  }
  *time = io::Instant{first.time};
  return first.slot;
}

}  // namespace reel::sim
