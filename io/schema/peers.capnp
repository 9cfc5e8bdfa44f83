# Reel's protocol between replicas, schema version 1: Raft messages, batched.
#
# Each node keeps one connection to each peer, on which it only sends; answers come on the peer's own
# connection. Order holds within a connection. Messages may be lost with a connection, never changed: the
# consensus core asks again.
#
# A batch or message that breaks a rule below costs its sender the connection.

@0xc9d4a81be5f20337;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("reel::schema");

using Client = import "client.capnp";

interface PeerEntrance {
  # The other half of the bootstrap object.

  login @0 (token :Text, schemaVersion :UInt32) -> (peers :Peers, error :Client.CallError);
  # The peers' token is not a client's: a client's token is refused here, and the peers' token at
  # Reel.login().
}

interface Door extends(Client.Reel, PeerEntrance) {
  # What a node's bootstrap object really is. Clients take it as Reel, replicas as PeerEntrance.
}

interface Peers {
  link @0 (node :UInt64, cluster :UInt64, incarnation :UInt64)
      -> (link :PeerLink, self :Client.NodeInfo, error :Client.CallError);
  # Introduces the caller: its node id, cluster and life. Refused (Unauthorized) if the cluster is another or
  # the id is the receiver's own. A later link of the same node replaces the earlier one. `self` tells whom
  # the caller has reached.
}

interface PeerLink {
  deliver @0 (batch :PeerBatch) -> ();
  # Messages in order. Returns some time after the receiver has taken them; that is flow control, not an
  # acknowledgement. A receiver collects returns: each one costs both sides a wake-up. It owes at most
  # 10 ms, 64 calls or 512 KiB; a sender that keeps 4 MiB on the way never waits for them in vain. (Not a
  # streaming call: those return one by one.)
}

struct PeerBatch {
  # What one node had to say to another in one turn of its event loop.

  messages @0 :List(PeerMessage);  # at most 4096, at most 8 MiB of payloads (but always one message)

  checksum @1 :UInt64;
  # Begin with sum = 0; for each message sum = XXH3, seeded with sum, of the message's fields in the layout
  # that io/wire/peer_codec.cc draws (little-endian, without payloads). The payload of an entry is covered by
  # the checksum in its identity. So every bit is covered once. Of an opaque message the bytes are summed.
}

struct PeerMessage {
  group @0 :UInt32;        # one Raft group; partition p is group p + 1
  term @1 :UInt64;         # the sender's current term; for pre-votes the term that it would campaign in
  incarnation @2 :UInt64;  # of the sender: what an earlier life of it acknowledged is void

  union {
    voteRequest @3 :VoteRequest;
    voteReply @4 :VoteReply;
    appendRequest @5 :AppendRequest;
    appendReply @6 :AppendReply;
    timeoutNow @7 :Void;   # campaign at once (Raft thesis §3.10)
    opaque @8 :Data;       # of programs that use Reel's ports for messages of their own; at most 4 MiB
  }
}

struct EntryId {
  term @0 :UInt64;
  index @1 :UInt64;        # the first entry of a log is 1; 0 is before it
}

struct VoteRequest {
  pre @0 :Bool;            # asks whether a vote would be given; nothing is promised (thesis §9.6)
  transfer @1 :Bool;       # at the leader's own wish: a voter need not wait until it misses the leader
  last @2 :EntryId;        # the candidate's last entry
}

struct VoteReply {
  pre @0 :Bool;
  granted @1 :Bool;
  asked @2 :UInt64;        # the term of the request
}

struct AppendRequest {
  # AppendEntries (Raft §5.3); without entries a heartbeat or a probe.
  previous @0 :EntryId;
  commit @1 :UInt64;       # the leader's commit index
  round @2 :UInt64;        # rises per leader and term; echoed
  entries @3 :List(Entry);
  # At most 1024. Indexes are contiguous behind `previous`, terms never fall and never exceed the message's.
}

enum EntryKind {
  empty @0;                # a new leader's first entry (Raft §8)
  transactions @1;         # laid out as an entry of a feed: client.capnp, FeedBatch.entries
  configuration @2;        # members of the group (node/raft/quorum.h)
  cluster @3;              # partitions and reader groups (node/cluster/commands.h)
}

struct Entry {
  id @0 :EntryId;
  kind @1 :EntryKind;
  checksumLow @2 :UInt64;  # XXH3-128 of the payload
  checksumHigh @3 :UInt64;
  payload @4 :Data;        # at most 4 MiB
}

struct AppendReply {
  accepted @0 :Bool;
  match @1 :UInt64;        # accepted: the sender's log is durable and equal to the leader's up to this index
  hint @2 :EntryId;        # rejected: where the leader should try next
  rejected @3 :UInt64;     # rejected: index of the request's `previous`
  round @4 :UInt64;        # echo
}
