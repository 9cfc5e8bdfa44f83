#include "harness/bench/floor_node.h"

#include <cstring>

#include "io/ports/assert.h"
#include "io/wire/codec.h"

namespace reel::harness {
namespace {

constexpr io::FileId kFile{1};
// The file is a ring of two zones, as a journal file is; far larger than what is under way at once.
constexpr std::uint64_t kIdentityZone = 4u << 20;
constexpr std::uint64_t kBodyZone = 60u << 20;
constexpr std::uint32_t kCommitsMax = 2;
// Of all bodies of one commit; a single one may exceed it.
constexpr std::uint64_t kCommitBytesMax = 1u << 20;
constexpr std::uint64_t kPreparation = 0;  // the "commit" of creating the file

}  // namespace

FloorNode::FloorNode(RealWorld& world, const NodeConfig& config,
                     std::function<void(const std::string&)> failed)
    : world_(world), config_(config), failed_(std::move(failed)) {
  io::Buffer sector = io::Buffer::allocate(io::kSectorBytes);
  std::memset(sector.data(), 0x5a, sector.size());
  identity_ = std::move(sector).freeze();
}

void FloorNode::on_start() {
  io::DiskRequest request;
  request.verb = io::DiskVerb::create;
  request.name = "floor";
  request.length = kIdentityZone + kBodyZone;
  submit(kPreparation, std::move(request));
}

void FloorNode::submit(std::uint64_t commit, io::DiskRequest request) {
  request.op = io::DiskOpId(++last_operation_);
  request.file = kFile;
  operations_.emplace(request.op, commit);
  world_.ports().disk.submit(std::move(request));
}

void FloorNode::on_disk(io::DiskResult result) {
  if (result.status != io::DiskStatus::ok) {
    return failed_(std::string(io::name_of(result.verb)) + " failed: " + io::name_of(result.status));
  }
  const std::uint64_t number = operations_.at(result.op);
  operations_.erase(result.op);
  if (number == kPreparation) {
    ready_ = true;
    return world_.go_online({config_.cluster, config_.node, Incarnation(1)});
  }
  Commit& commit = commits_.at(number);
  if (result.verb == io::DiskVerb::write) {
    if (--commit.writes > 0) return;
    io::DiskRequest sync;
    sync.verb = io::DiskVerb::sync;
    ++syncs_;
    return submit(number, std::move(sync));
  }
  const Commit done = std::move(commit);
  commits_.erase(number);
  durable(done);
  pump();
}

void FloorNode::on_peer_up(NodeId, io::ConnectionId) { ++peers_up_; }

// ---- what is asked for

void FloorNode::on_call(io::CallId call, io::Rights, io::Parcel body) {
  const ClientCall& asked = body.get<ClientCall>();
  if (std::holds_alternative<StatusCall>(asked)) return answer_status(call);
  const auto* append = std::get_if<AppendCall>(&asked);
  if (append == nullptr || !ready_) {
    CallError error;
    error.code = ErrorCode::unavailable;
    error.text = "this is a node of `reel bench floor`: it only appends";
    return world_.ports().service.reply(call, wire::parcel(ClientReply(error)));
  }
  queue_.push_back({call, *append, {}, {}, append->block});
  pump();
}

void FloorNode::on_received(NodeId from, io::Parcel parcel) {
  if (!parcel.is<PeerBatch>() || !ready_) return;
  for (const PeerMessage& message : parcel.get<PeerBatch>().messages) {
    if (const auto* request = std::get_if<AppendRequest>(&message.body)) {
      for (const Entry& entry : request->entries) {
        queue_.push_back({{}, {}, from, entry.identity.index, entry.payload});
      }
    }
    if (const auto* reply = std::get_if<AppendReply>(&message.body)) count(reply->match);
  }
  pump();
}

void FloorNode::answer_status(io::CallId call) {
  StatusResult status;
  status.node = config_.node;
  status.cluster = config_.cluster.value;
  status.ready = ready_ && peers_up_ + 1 >= config_.peers.size();
  status.syncs = syncs_;
  world_.ports().service.reply(call, wire::parcel(ClientReply(status)));
}

// ---- writing

void FloorNode::pump() {
  while (!queue_.empty() && commits_.size() < kCommitsMax) {
    Commit commit;
    Answer answer;
    std::vector<journal::Body> bodies;
    std::uint64_t bytes = 0;
    while (!queue_.empty() && (bytes == 0 || bytes + queue_.front().payload.size() <= kCommitBytesMax)) {
      Work work = std::move(queue_.front());
      queue_.pop_front();
      bytes += work.payload.size();
      if (work.call == io::CallId()) {
        bodies.push_back(journal::BodyBuilder::copy_of(work.payload.span()));
        commit.peers.push_back(std::move(work));
      } else {
        answer.calls.push_back(std::move(work));
      }
    }
    if (!answer.calls.empty()) {
      commit.own = ++last_;
      bodies.push_back(entry_of(answer));
      answers_.emplace(commit.own, std::move(answer));
    }
    const bool clients = commit.own != Index();
    write(std::move(commit), bodies);
    if (clients) replicate(bodies.back());
  }
}

// The blocks of all calls behind each other, copied once.
journal::Body FloorNode::entry_of(Answer& answer) {
  std::size_t bytes = 0;
  for (const Work& work : answer.calls) bytes += work.payload.size();
  journal::BodyBuilder builder(bytes);
  std::byte* to = builder.room().data();
  for (Work& work : answer.calls) {
    std::memcpy(to, work.payload.data(), work.payload.size());
    to += work.payload.size();
    work.payload = {};
    work.append.block = {};
  }
  return std::move(builder).finish(bytes);
}

void FloorNode::replicate(const journal::Body& body) {
  const Term term(1);
  AppendRequest request;
  if (last_.value > 1) request.previous = {term, last_ - 1};
  const auto size = static_cast<std::uint32_t>(body.payload().size());
  request.entries.push_back(
      {{term, last_, EntryKind::transactions, size, io::checksum(body.payload().span())}, body.payload()});
  const PeerMessage message{GroupId(1), term, Incarnation(1), std::move(request)};
  for (const PeerAddress& peer : config_.peers) {
    if (peer.node != config_.node) world_.ports().network.send(peer.node, wire::parcel(PeerBatch{{message}}));
  }
}

void FloorNode::write(Commit commit, const std::vector<journal::Body>& bodies) {
  const std::uint64_t number = ++last_commit_;
  commit.writes = 2;
  commits_.emplace(number, std::move(commit));
  io::DiskRequest body;
  body.verb = io::DiskVerb::write;
  for (const journal::Body& one : bodies) {
    body.length += one.whole().size();
    body.data.push_back(one.whole());
  }
  if (body_at_ + body.length > kBodyZone) body_at_ = 0;
  body.offset = kIdentityZone + body_at_;
  body_at_ += body.length;
  io::DiskRequest identity;
  identity.verb = io::DiskVerb::write;
  identity.offset = identity_slot_++ % (kIdentityZone / io::kSectorBytes) * io::kSectorBytes;
  identity.length = io::kSectorBytes;
  identity.data.push_back(identity_);
  submit(number, std::move(body));
  submit(number, std::move(identity));
}

// ---- answering

void FloorNode::durable(const Commit& commit) {
  for (const Work& work : commit.peers) {
    AppendReply reply;
    reply.accepted = true;
    reply.match = work.index;
    const PeerMessage message{GroupId(1), Term(1), Incarnation(1), reply};
    world_.ports().network.send(work.from, wire::parcel(PeerBatch{{message}}));
  }
  if (commit.own != Index()) count(commit.own);
}

// One more of the nodes has this entry.
void FloorNode::count(Index index) {
  const auto found = answers_.find(index);
  if (found == answers_.end() || ++found->second.durable_on < config_.peers.size() / 2 + 1) return;
  for (const Work& work : found->second.calls) {
    const AppendCall& append = work.append;
    AppendResult result;
    result.runs.push_back({append.first, append.count, TxnId(append.first.value - 1), append.first.value});
    world_.ports().service.reply(work.call, wire::parcel(ClientReply(result)));
  }
  answers_.erase(found);
}

}  // namespace reel::harness
