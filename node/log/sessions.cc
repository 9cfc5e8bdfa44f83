#include "node/log/sessions.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::log {

void Session::decide(const Outcome& outcome) {
  REEL_ASSERT(outcome.count > 0 && outcome.first.value > 0);
  REEL_ASSERT(!this->outcome(outcome.first).has_value());  // exactly once
  const auto place = std::upper_bound(outcomes_.begin(), outcomes_.end(), outcome.first,
                                      [](Sequence s, const Outcome& other) { return s < other.first; });
  REEL_ASSERT(place == outcomes_.end() || outcome.first + outcome.count <= place->first);
  outcomes_.insert(place, outcome);
  last_ = std::max(last_, outcome.first + (outcome.count - 1));
  if (last_.value > kSessionWindow) floor_ = std::max(floor_, Sequence(last_.value - kSessionWindow));
  while (!outcomes_.empty() && outcomes_.front().first + (outcomes_.front().count - 1) <= floor_) {
    outcomes_.pop_front();
  }
}

std::optional<Outcome> Session::outcome(Sequence sequence) const {
  const auto after = std::upper_bound(outcomes_.begin(), outcomes_.end(), sequence,
                                      [](Sequence s, const Outcome& other) { return s < other.first; });
  if (after == outcomes_.begin()) return std::nullopt;
  Outcome found = *std::prev(after);
  if (sequence >= found.first + found.count) return std::nullopt;
  const std::uint64_t skip = sequence - found.first;
  found.first = sequence;
  found.count -= static_cast<std::uint32_t>(skip);
  if (!found.burned) {
    found.id += skip;
    found.time += skip;
  }
  return found;
}

std::uint32_t Session::undecided(Sequence sequence, std::uint32_t limit) const {
  const auto next = std::upper_bound(outcomes_.begin(), outcomes_.end(), sequence,
                                     [](Sequence s, const Outcome& other) { return s < other.first; });
  if (next == outcomes_.end()) return limit;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, next->first - sequence));
}

SessionTable::SessionTable(const SessionLimits& limits) : limits_(limits) {
  REEL_CHECK(limits.sessions_max > 0);
}

const Session* SessionTable::find(const SessionId& id) const {
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : &it->second.session;
}

Session* SessionTable::use(const SessionId& id, bool fresh, std::uint64_t time, Index index) {
  auto it = sessions_.find(id);
  if (it == sessions_.end()) {
    if (!fresh) {
      floor_ = std::max(floor_, index);
      return nullptr;
    }
    if (sessions_.size() >= limits_.sessions_max) drop_oldest();
    it = sessions_.emplace(id, Kept{Session(), uses_.insert(uses_.end(), Use{id, time, index})}).first;
  }
  const auto use = it->second.last_use;
  uses_.splice(uses_.end(), uses_, use);
  use->time = time;
  use->index = index;
  while (uses_.front().time + limits_.session_expiry < time) drop_oldest();
  return &it->second.session;
}

std::vector<SessionId> SessionTable::newest(std::size_t count) const {
  std::vector<SessionId> ids;
  for (auto use = uses_.rbegin(); use != uses_.rend() && ids.size() < count; ++use) ids.push_back(use->id);
  return ids;
}

void SessionTable::drop_oldest() {
  floor_ = std::max(floor_, uses_.front().index);
  sessions_.erase(uses_.front().id);
  uses_.pop_front();
}

void SessionOverlay::add(const SessionId& session, const Run& run) {
  REEL_ASSERT(run.count > 0);
  std::vector<Run>& runs = runs_[session];
  if (!runs.empty()) {
    Run& back = runs.back();
    REEL_ASSERT(back.index <= run.index);
    if (back.index == run.index && back.first + back.count == run.first) {
      back.count += run.count;
      return;
    }
  }
  runs.push_back(run);
  touched_.push_back({run.index, session});
}

void SessionOverlay::applied(Index index) {
  while (!touched_.empty() && touched_.front().index <= index) {
    const auto it = runs_.find(touched_.front().session);
    touched_.pop_front();
    if (it == runs_.end()) continue;
    std::erase_if(it->second, [index](const Run& run) { return run.index <= index; });
    if (it->second.empty()) runs_.erase(it);
  }
}

void SessionOverlay::clear() {
  runs_.clear();
  touched_.clear();
}

std::optional<SessionOverlay::Run> SessionOverlay::pending(const SessionId& session,
                                                           Sequence sequence) const {
  const auto it = runs_.find(session);
  if (it == runs_.end()) return std::nullopt;
  for (const Run& run : it->second) {
    if (run.first <= sequence && sequence < run.first + run.count) {
      return Run{sequence, static_cast<std::uint32_t>(run.count - (sequence - run.first)), run.index};
    }
  }
  return std::nullopt;
}

Sequence SessionOverlay::last(const SessionId& session) const {
  Sequence highest;
  const auto it = runs_.find(session);
  if (it == runs_.end()) return highest;
  for (const Run& run : it->second) highest = std::max(highest, run.first + (run.count - 1));
  return highest;
}

std::uint32_t SessionOverlay::unseen(const SessionId& session, Sequence sequence, std::uint32_t limit) const {
  const auto it = runs_.find(session);
  if (it == runs_.end()) return limit;
  std::uint64_t count = limit;
  for (const Run& run : it->second) {
    if (run.first > sequence) count = std::min(count, run.first - sequence);
  }
  return static_cast<std::uint32_t>(count);
}

}  // namespace reel::log
