#include "node/raft/progress.h"

#include <algorithm>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::raft {

void InflightWindow::push(Index last, std::uint32_t bytes) {
  REEL_ASSERT(empty() || last > items_.back().last);
  if (head_ >= 32 && head_ * 2 >= items_.size()) {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  items_.push_back({last, bytes});
  bytes_ += bytes;
}

void InflightWindow::release_to(Index match) {
  while (head_ < items_.size() && items_[head_].last <= match) {
    REEL_ASSERT(bytes_ >= items_[head_].bytes);
    bytes_ -= items_[head_].bytes;
    ++head_;
  }
  if (empty()) clear();
}

void InflightWindow::clear() {
  items_.clear();
  head_ = 0;
  bytes_ = 0;
}

Index InflightWindow::last() const {
  REEL_ASSERT(!empty());
  return items_.back().last;
}

bool InflightWindow::operator==(const InflightWindow& other) const {
  const auto begin = [](const InflightWindow& window) {
    return window.items_.begin() + static_cast<std::ptrdiff_t>(window.head_);
  };
  return std::equal(begin(*this), items_.end(), begin(other), other.items_.end());
}

std::uint64_t InflightWindow::digest() const {
  io::Hasher hash;
  for (std::size_t i = head_; i < items_.size(); ++i) hash.add(items_[i].last.value).add(items_[i].bytes);
  return hash.add(size()).value();
}

void Progress::become_probe(Index from) {
  told = {};
  REEL_ASSERT(from > match);
  state = State::probe;
  next = from;
  probe_sent = false;
  stalled = false;
  inflight.clear();
}

void Progress::become_replicate() {
  state = State::replicate;
  next = match + 1;
  probe_sent = false;
  stalled = false;
  inflight.clear();
}

bool Progress::acknowledge(Index acknowledged) {
  if (acknowledged <= match) return false;
  match = acknowledged;
  next = std::max(next, match + 1);
  stalled = false;
  inflight.release_to(match);
  return true;
}

}  // namespace reel::raft
