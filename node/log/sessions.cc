#include "node/log/sessions.h"

#include <algorithm>

#include "io/ports/assert.h"

namespace reel::log {

Sequence Session::floor() const {
  return last_.value > kSessionWindow ? Sequence(last_.value - kSessionWindow) : Sequence(0);
}

void Session::commit(const CommittedRun& run) {
  REEL_ASSERT(run.count > 0 && run.first.value > 0);
  REEL_ASSERT(!committed(run.first).has_value());  // exactly once
  const auto place = std::upper_bound(runs_.begin(), runs_.end(), run.first,
                                      [](Sequence s, const CommittedRun& other) { return s < other.first; });
  REEL_ASSERT(place == runs_.end() || run.first + run.count <= place->first);
  runs_.insert(place, run);
  last_ = std::max(last_, run.first + (run.count - 1));
  while (!runs_.empty() && runs_.front().first + (runs_.front().count - 1) <= floor()) runs_.pop_front();
}

std::optional<CommittedRun> Session::committed(Sequence sequence) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), sequence,
                                      [](Sequence s, const CommittedRun& run) { return s < run.first; });
  if (after == runs_.begin()) return std::nullopt;
  const CommittedRun& run = *std::prev(after);
  if (sequence >= run.first + run.count) return std::nullopt;
  const std::uint64_t skip = sequence - run.first;
  return CommittedRun{sequence, static_cast<std::uint32_t>(run.count - skip), run.id + skip, run.time + skip};
}

std::uint32_t Session::uncommitted(Sequence sequence, std::uint32_t limit) const {
  const auto next = std::upper_bound(runs_.begin(), runs_.end(), sequence,
                                     [](Sequence s, const CommittedRun& run) { return s < run.first; });
  if (next == runs_.end()) return limit;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, next->first - sequence));
}

Session* SessionTable::find(const SessionId& id) {
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : &it->second;
}

const Session* SessionTable::find(const SessionId& id) const {
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : &it->second;
}

Session* SessionTable::open(const SessionId& id) {
  if (Session* existing = find(id)) return existing;
  if (sessions_.size() >= kSessionsMax) return nullptr;
  return &sessions_[id];
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
