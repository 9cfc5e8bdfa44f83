// Signs of trouble: what one step of a core met that a healthy world does not show. A campaign counts a fault as
// *noticed* when the code under test took such a branch (harness/noticed.h), so a sign is read off the core's own
// state before and after its step, never off the injector. Only built when somebody listens (Effects::wants_notes).
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "node/raft/raft.h"

namespace reel::node {

class Signs {
 public:
  // Before the step.
  Signs(const raft::Core& core, const raft::Input& input);
  // After it: names of static storage.
  std::span<const char* const> after(const raft::Core& core, const raft::Output& effects);

 private:
  static constexpr std::size_t kSignsMax = 8;

  void add(const char* sign);
  void of_timeout(const raft::Core& core, raft::Timer timer);
  void of_message(const raft::Core& core, NodeId from, const PeerMessage& message);
  void of_append(const raft::Core& core, const PeerMessage& message, const AppendRequest& request);
  void of_vote(const raft::Core& core, NodeId from, const PeerMessage& message, const VoteRequest& request);

  std::array<const char*, kSignsMax> signs_{};
  std::size_t count_ = 0;
  raft::Counters before_;
  Role role_;
  bool append_reply_ = false;
  bool quorum_timeout_ = false;
  bool quorum_active_ = true;
  bool disk_idle_ = true;
};

}  // namespace reel::node
