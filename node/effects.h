// What one step asks the world to do. A host keeps one Effects, hands it to every step and carries everything out
// afterwards, in order per peer; each effect may run at once (what had to wait for a sync was held back inside).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/ports/service.h"
#include "io/ports/time.h"
#include "node/client_message.h"
#include "node/disk_queue.h"
#include "node/message.h"
#include "node/note.h"

namespace reel::node {

struct Send {
  NodeId to;
  PeerBatch batch;
};

struct Reply {
  io::CallId call;
  ClientReply body;
};

struct Effects {
  DiskQueue disk;
  std::vector<Send> sends;
  std::vector<Reply> replies;
  std::optional<io::Instant> wake_at;  // replaces the alarm set before
  std::optional<std::string> halt;     // one sentence; the node does nothing any more
  std::vector<Note> notes;
  bool wants_notes = false;  // set by who listens; otherwise notes are not even built

  // To be called when everything was carried out; the disk queue keeps its counters.
  void clear() {
    disk.requests().clear();
    sends.clear();
    replies.clear();
    wake_at.reset();
    halt.reset();
    notes.clear();
  }
};

}  // namespace reel::node
