// A node of `bench floor`: what a replicated durable append costs on this machine when nobody has to agree. The very
// disk, transport and calls of a replica, and nothing else: whoever gets an append call writes its transactions and one
// identity sector in parallel, then syncs once; at the same time both peers get them as an AppendRequest, do the same and
// answer; the client is answered when the second of three has it. Like a replica it writes together what arrived
// together, with at most two commits under way. Nothing is ever read back, and nobody is waited for twice.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "harness/real_node.h"
#include "node/client_message.h"
#include "node/disk_queue.h"
#include "node/journal/journal.h"
#include "node/message.h"

namespace reel::harness {

class FloorNode final : public io::Host {
 public:
  // `failed` is called with one sentence when the disk fails.
  FloorNode(RealWorld& world, const NodeConfig& config, std::function<void(const std::string&)> failed);

  void on_start() override;
  void on_disk(io::DiskResult result) override;
  void on_received(NodeId from, io::Parcel parcel) override;
  void on_peer_up(NodeId peer, io::ConnectionId connection) override;
  void on_call(io::CallId call, io::Rights rights, io::Parcel body) override;

 private:
  // One block to be made durable: a client's, or a peer's.
  struct Work {
    io::CallId call;    // of a client; 0: of a peer
    AppendCall append;  // of a client
    NodeId from;        // of a peer, with its index
    Index index;
    Bytes payload;
  };
  // What is written and synced together.
  struct Commit {
    std::vector<Work> peers;   // to be answered when it is durable
    Index own;                 // the entry that carries clients' blocks; 0: none
    std::uint32_t writes = 0;  // not yet done
  };
  // Clients' calls that one entry carries.
  struct Answer {
    std::vector<Work> calls;
    std::uint32_t durable_on = 0;
  };

  void pump();
  journal::Body entry_of(Answer& answer);
  void replicate(const journal::Body& body);
  void write(Commit commit, const std::vector<journal::Body>& bodies);
  void submit(std::uint64_t commit, io::DiskRequest request);
  void durable(const Commit& commit);
  void count(Index index);
  void answer_status(io::CallId call);

  RealWorld& world_;
  NodeConfig config_;
  std::function<void(const std::string&)> failed_;
  bool ready_ = false;
  std::size_t peers_up_ = 0;
  std::deque<Work> queue_;
  Index last_;  // of the entries of this node
  std::map<Index, Answer> answers_;
  std::uint64_t last_commit_ = 0;
  std::map<std::uint64_t, Commit> commits_;  // under way
  std::map<io::DiskOpId, std::uint64_t> operations_;
  std::uint64_t last_operation_ = 0;
  std::uint64_t identity_slot_ = 0;
  std::uint64_t body_at_ = 0;
  Bytes identity_;
  std::uint64_t syncs_ = 0;
};

}  // namespace reel::harness
