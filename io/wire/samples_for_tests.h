// One value of every message, drawn from a seed: shared by the tests of both codecs.
#pragma once

#include <vector>

#include "io/ports/checksum.h"
#include "node/client_message.h"
#include "node/message.h"

namespace reel::wire {

// A keyed counter instead of a stream: sample `n` of a seed is the same in every build.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t u64() { return io::keyed_hash(seed_, {++counter_}); }
  std::uint64_t below(std::uint64_t bound) { return u64() % bound; }
  bool flag() { return (u64() & 1) != 0; }
  Bytes bytes(std::size_t size_max) {
    std::vector<std::byte> content(below(size_max + 1));
    for (std::byte& byte : content) byte = static_cast<std::byte>(u64());
    return Bytes::copy_of(content);
  }
  std::string text(std::size_t size_max) { return std::string(bytes(size_max).text()); }

 private:
  std::uint64_t seed_;
  std::uint64_t counter_ = 0;
};

inline EntryId sample_id(Draw& draw) {
  EntryId id;
  id.term = Term(draw.below(50));
  id.index = Index(draw.below(1000));
  return id;
}

inline AppendRequest sample_append_request(Draw& draw, std::size_t entries_max = 5,
                                           std::size_t bytes_max = 300) {
  AppendRequest request;
  request.previous = sample_id(draw);
  request.commit = Index(draw.u64());
  request.round = draw.u64();
  EntryId last = request.previous;
  for (std::uint64_t left = draw.below(entries_max + 1); left > 0; --left) {
    Entry entry;
    entry.identity.term = last.term + draw.below(2);
    entry.identity.index = last.index + 1;
    entry.identity.kind = static_cast<EntryKind>(draw.below(3));
    entry.payload = draw.bytes(bytes_max);
    entry.identity.size = static_cast<std::uint32_t>(entry.payload.size());
    entry.identity.checksum = io::checksum(entry.payload.span());
    last = entry.identity.id();
    request.entries.push_back(std::move(entry));
  }
  return request;
}

inline PeerBody sample_body(Draw& draw, std::uint64_t which) {
  switch (which) {
    case 0: {
      VoteRequest body;
      body.pre = draw.flag();
      body.transfer = draw.flag();
      body.last = sample_id(draw);
      return body;
    }
    case 1: {
      VoteReply body;
      body.pre = draw.flag();
      body.granted = draw.flag();
      body.asked = Term(draw.u64());
      return body;
    }
    case 2: return sample_append_request(draw);
    case 3: {
      AppendReply body;
      body.accepted = draw.flag();
      body.match = Index(draw.u64());
      body.hint = sample_id(draw);
      body.rejected = Index(draw.u64());
      body.round = draw.u64();
      return body;
    }
    default: return TimeoutNow{};
  }
}

inline PeerMessage sample_message(Draw& draw, std::uint64_t which) {
  PeerMessage message;
  message.group = GroupId(static_cast<std::uint32_t>(draw.u64()));
  message.term = Term(100 + draw.below(1000));
  message.incarnation = Incarnation(draw.u64());
  message.body = sample_body(draw, which);
  return message;
}

// Every body once, then some at random.
inline PeerBatch sample_batch(std::uint64_t seed) {
  Draw draw(seed);
  PeerBatch batch;
  for (std::uint64_t which = 0; which < std::variant_size_v<PeerBody>; ++which) {
    batch.messages.push_back(sample_message(draw, which));
  }
  for (std::uint64_t left = draw.below(6); left > 0; --left) {
    const std::uint64_t which = draw.below(std::variant_size_v<PeerBody>);
    batch.messages.push_back(sample_message(draw, which));
  }
  return batch;
}

inline std::string sample_name(Draw& draw) {
  std::string name;
  for (std::uint64_t left = 1 + draw.below(9); left > 0; --left)
    name += static_cast<char>('a' + draw.below(26));
  return name;
}

inline MemberId sample_member(Draw& draw) {
  MemberId member;
  member.high = draw.u64();
  member.low = draw.u64();
  return member;
}

inline ClientCall sample_call(std::uint64_t seed, std::uint64_t which) {
  Draw draw(seed);
  const GroupId group(static_cast<std::uint32_t>(1 + draw.below(9)));
  switch (which) {
    case 0: {
      AppendCall call;
      call.group = group;
      call.session.high = draw.u64();
      call.session.low = draw.u64();
      call.first = Sequence(1 + draw.below(1u << 20));
      call.count = static_cast<std::uint32_t>(draw.below(100));
      call.ordered = draw.flag();
      call.block = draw.bytes(2000);
      call.opened = Index(draw.u64());
      return call;
    }
    case 1: {
      FeedCall call;
      call.group = group;
      call.from = TxnId(draw.u64());
      call.bytes_max = static_cast<std::uint32_t>(draw.below(kFeedCallBytesMax + 1));
      call.wait = io::milliseconds(static_cast<std::int64_t>(draw.below(5000)));
      call.from_time = draw.u64();
      if (draw.flag()) {
        call.filter.header_mask = 1 + static_cast<std::uint32_t>(draw.below(1u << 20));
        call.filter.header_value = call.filter.header_mask & static_cast<std::uint32_t>(draw.u64());
      }
      if (draw.flag()) {
        call.filter.lock.emplace().low = draw.u64();
        call.filter.lock->high = draw.u64();
      }
      return call;
    }
    case 2: return HighWaterCall{group, draw.flag()};
    case 3: return StatusCall{};
    case 5: {
      TransactionCall call;
      call.group = group;
      call.id = TxnId(draw.u64());
      return call;
    }
    case 6: return CreatePartitionsCall{static_cast<std::uint32_t>(draw.u64())};
    case 7: {
      ReaderGroupCall call;
      call.name = sample_name(draw);
      call.member = sample_member(draw);
      call.verb = static_cast<ReaderGroupCall::Verb>(draw.below(3));
      call.patience = io::milliseconds(static_cast<std::int64_t>(draw.below(5000)));
      for (std::uint64_t left = draw.below(5); left > 0; --left) {
        ReaderProgress progress;
        progress.group = GroupId(static_cast<std::uint32_t>(1 + draw.below(100)));
        progress.epoch = Epoch(draw.u64());
        progress.next = TxnId(draw.below(1u << 20));
        progress.released = draw.flag();
        call.progress.push_back(progress);
      }
      return call;
    }
    case 8: return ReaderGroupsCall{draw.flag() ? sample_name(draw) : ""};
    case 9: return RemoveReaderGroupCall{sample_name(draw)};
    default: {
      ResolveCall call;
      call.group = group;
      call.session.high = draw.u64();
      call.session.low = draw.u64();
      call.opened = Index(draw.u64());
      call.sequence = Sequence(1 + draw.below(1u << 20));
      call.burn = draw.flag();
      return call;
    }
  }
}

inline CommittedRecord sample_committed(Draw& draw, TxnId id) {
  CommittedRecord committed;
  committed.id = id;
  committed.time = draw.u64();
  committed.session.high = draw.u64();
  committed.session.low = draw.u64();
  committed.sequence = Sequence(draw.u64());
  committed.record = draw.bytes(200);
  return committed;
}

inline FeedResult sample_feed(Draw& draw) {
  FeedResult result;
  result.high_water = TxnId(draw.u64());
  for (std::uint64_t left = draw.below(5); left > 0; --left) result.entries.push_back(draw.bytes(500));
  return result;
}

inline FeedResult sample_matches(Draw& draw) {
  FeedResult result;
  result.high_water = TxnId(draw.u64());
  TxnId id(draw.below(100));
  for (std::uint64_t left = draw.below(5); left > 0; --left) {
    result.matches.push_back(sample_committed(draw, id));
    id += 1 + draw.below(9);
  }
  result.next = id;
  return result;
}

inline GroupStatus sample_group(Draw& draw) {
  GroupStatus group;
  group.group = GroupId(static_cast<std::uint32_t>(draw.below(100)));
  group.role = static_cast<Role>(draw.below(4));
  group.term = Term(draw.u64());
  group.leader = NodeId(draw.u64());
  group.first = Index(draw.u64());
  group.last = Index(draw.u64());
  group.commit = Index(draw.u64());
  group.applied = Index(draw.u64());
  group.high_water = TxnId(draw.u64());
  group.sessions = draw.u64();
  for (std::uint64_t left = draw.below(4); left > 0; --left) {
    PeerStatus peer;
    peer.node = NodeId(draw.u64());
    peer.match = Index(draw.u64());
    peer.connected = draw.flag();
    group.peers.push_back(peer);
  }
  return group;
}

inline StatusResult sample_status(Draw& draw) {
  StatusResult result;
  result.node = NodeId(draw.u64());
  result.cluster = draw.u64();
  result.incarnation = Incarnation(draw.u64());
  result.version = draw.text(20);
  result.ready = draw.flag();
  result.disk = draw.text(40);
  result.journal_bytes = draw.u64();
  result.journal_files = draw.u64();
  result.syncs = draw.u64();
  result.durable = Lsn(draw.u64());
  for (std::uint64_t left = draw.below(4); left > 0; --left) result.groups.push_back(sample_group(draw));
  return result;
}

inline CommittedRun sample_run(Draw& draw) {
  CommittedRun run;
  run.first = Sequence(draw.u64());
  run.count = static_cast<std::uint32_t>(draw.u64());
  run.id = TxnId(draw.u64());
  run.time = draw.u64();
  return run;
}

inline Refusal sample_refusal(Draw& draw) {
  Refusal refusal;
  refusal.sequence = Sequence(draw.u64());
  refusal.code = static_cast<RefusalCode>(1 + draw.below(3));
  refusal.lock = static_cast<std::uint32_t>(draw.below(kTransactionLocksMax));
  refusal.id = TxnId(draw.u64());
  return refusal;
}

inline ReaderGroupResult sample_shares(Draw& draw) {
  ReaderGroupResult result;
  result.members = static_cast<std::uint32_t>(draw.u64());
  result.partitions = static_cast<std::uint32_t>(draw.u64());
  for (std::uint64_t left = draw.below(5); left > 0; --left) {
    ReaderShare share;
    share.group = GroupId(static_cast<std::uint32_t>(1 + draw.below(100)));
    share.epoch = Epoch(draw.u64());
    share.next = TxnId(draw.u64());
    share.revoked = draw.flag();
    result.shares.push_back(share);
  }
  return result;
}

inline ReaderGroupStatus sample_reader_group(Draw& draw) {
  ReaderGroupStatus group;
  group.name = sample_name(draw);
  for (std::uint64_t left = draw.below(4); left > 0; --left) {
    ReaderMember member;
    member.member = sample_member(draw);
    member.patience = io::milliseconds(static_cast<std::int64_t>(draw.below(5000)));
    group.members.push_back(member);
  }
  for (std::uint64_t left = draw.below(4); left > 0; --left) {
    ReaderPosition position;
    position.group = GroupId(static_cast<std::uint32_t>(1 + draw.below(100)));
    position.owner = sample_member(draw);
    position.heir = sample_member(draw);
    position.epoch = Epoch(draw.u64());
    position.next = TxnId(draw.u64());
    group.positions.push_back(position);
  }
  return group;
}

inline ClientReply sample_reply(std::uint64_t seed, std::uint64_t which) {
  Draw draw(seed);
  switch (which) {
    case 0: {
      CallError error;
      error.code = static_cast<ErrorCode>(1 + draw.below(11));
      error.hint = NodeId(draw.u64());
      error.retry_after.ns = static_cast<std::int64_t>(draw.u64());
      error.limit = draw.u64();
      error.text = draw.text(60);
      return error;
    }
    case 1: {
      AppendResult result;
      for (std::uint64_t left = draw.below(5); left > 0; --left) result.runs.push_back(sample_run(draw));
      for (std::uint64_t left = draw.below(5); left > 0; --left) {
        result.refusals.push_back(sample_refusal(draw));
      }
      return result;
    }
    case 2: {
      if (draw.below(2) == 0) return sample_matches(draw);
      return sample_feed(draw);
    }
    case 3: return HighWaterResult{TxnId(draw.u64())};
    case 4: return sample_status(draw);
    case 6: {
      TransactionResult result;
      result.high_water = TxnId(draw.u64());
      if (draw.flag()) result.transaction = sample_committed(draw, TxnId(draw.u64()));
      return result;
    }
    case 7: return PartitionsResult{static_cast<std::uint32_t>(draw.u64())};
    case 8: return sample_shares(draw);
    case 9: {
      ReaderGroupsResult result;
      for (std::uint64_t left = draw.below(3); left > 0; --left) {
        result.groups.push_back(sample_reader_group(draw));
      }
      return result;
    }
    default: {
      ResolveResult result;  // half of them: burned, or not decided
      if (!draw.flag()) {
        result.undecided = draw.flag();
        return result;
      }
      result.committed = sample_run(draw);
      result.committed->count = 1;
      return result;
    }
  }
}

}  // namespace reel::wire
