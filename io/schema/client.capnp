# Reel's protocol for clients: Cap'n Proto RPC over a byte stream (TCP), schema version 1. This file is all
# that a client in any language needs; peers.capnp is for replicas only.
#
# Authority is by capability. The bootstrap object can only log in; a session gives partitions and, to an
# operator, the administration object. What you do not hold you cannot call, and what you were not given you
# cannot name.
#
# Limits, checked before memory is taken. Until login() has answered, a connection may send 64 KiB in all, and
# has a few seconds for it; afterwards a single RPC message may have 16 MiB. Beyond that the connection is
# closed. The limits of each call are at the call; beyond them the answer is a CallError.
#
# Outcomes are values: every result is a union of what was asked for and a CallError. RPC exceptions mean a
# broken connection or a broken caller, and then the outcome of calls in flight is unknown: repeat appends
# under the same session and sequence, at this node or another, and they happen once.
#
# Names: a *partition* is one totally ordered log. Its transactions have ids 0, 1, 2, … without gaps. Times of
# commit are nanoseconds since 1970, only rise within a partition, and are unique. Integers in byte blocks are
# little-endian. XXH3 means XXH3_64bits_withSeed and XXH3_128bits of the xxHash library; 128-bit sums are
# stored low half first.

@0xb3c2f1d0a97e4465;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("reel::schema");

interface Reel {
  # The bootstrap object of every node.

  login @0 (token :Text, schemaVersion :UInt32) -> (session :Session, node :NodeInfo, error :CallError);
  # Trades a secret token (at most 256 bytes) for a session with the rights that the token stands for.
  # `session` is null and `error` set (Unauthorized) if it stands for none; a refused connection gets no
  # second try. `schemaVersion` is 1. You may pipeline calls on `session`, within the 64 KiB that an unknown
  # caller may send.
}

struct NodeInfo {
  # Who answered.
  node @0 :UInt64;          # the node's id, as it stands in the cluster's configuration
  cluster @1 :UInt64;
  incarnation @2 :UInt64;   # rises with each start of the node
  schemaVersion @3 :UInt32;
  members @4 :List(Member); # all nodes of the cluster, this one too, as this node's configuration names them;
                            # only to clients, at most 64
}

struct Member {
  # Where a node listens.
  node @0 :UInt64;
  address @1 :Text;         # "host:port", at most 256 bytes
}

interface Session {
  # One logged-in connection. (Not the *append session*, a number that outlives connections: see AppendBatch.)

  partition @0 (partition :UInt32) -> (partition :Partition, error :CallError);
  # Read and append. Unauthorized unless the token may append. That the partition exists is checked by each
  # call.

  reader @1 (partition :UInt32) -> (reader :Reader, error :CallError);
  # Read only; may be handed on to code that must not append.

  status @2 () -> StatusResult;

  admin @3 () -> (admin :Admin, error :CallError);
  # Unauthorized unless the token is an operator's.
}

interface Reader {
  feed @0 (from :UInt64, credit :UInt32, waitNs :UInt64) -> FeedResult;
  # Committed transactions in order, from id `from` on, as whole entries; the first entry may begin before
  # `from`. At most `credit` bytes (limit 8 MiB), but at least one entry if there is any. If nothing is
  # committed at `from` yet, the answer waits until something is, at most `waitNs`, and is then empty. Call
  # again with the id behind the last transaction received; several calls may be in flight only if you know
  # where each begins.

  highWater @1 (linearizable :Bool = true) -> HighWaterResult;
  # The id that the next transaction will get. Linearizable: at least everything that anybody was told was
  # committed before this call began (leader only). Otherwise whatever this node knows, at once.
}

interface Partition extends(Reader) {
  append @0 (batch :AppendBatch) -> AppendResult;
  # Leader only (else NotLeader with a hint). Answers when all transactions of the batch are durable on a
  # quorum, or refused. Calls may be pipelined; those of one append session reach the log in the order of
  # their sequences if `ordered` is set.
}

struct AppendBatch {
  # A batch of transactions of one append session. Many small transactions in one batch are far cheaper than
  # many calls.
  #
  # Exactly once: an append session is a number of 128 bits that the client draws at random and keeps; it is
  # opened by its first append. Each transaction has a sequence in it: 1, 2, 3, … A sequence that is appended
  # again, by a repeated call to any node, gives the original's outcome and nothing is written twice. The log
  # remembers a window of sequences per session; older ones get Expired.

  sessionHigh @0 :UInt64;
  sessionLow @1 :UInt64;
  firstSequence @2 :UInt64;  # of the block's first transaction; the others follow without gaps
  count @3 :UInt32;          # transactions in the block, 1 … 16384
  ordered @4 :Bool;
  # Append only directly behind sequence firstSequence - 1 of this session, else OutOfOrder with the sequence
  # to go on from. So a pipelined stream keeps its order although calls get lost. Without it, each batch is on
  # its own.

  block @5 :Data;
  # `count` records back to back, 3 MiB at most. A record (version 1), everything little-endian:
  #
  #    offset  bytes
  #         0      4  header: the application's own 32 bits, for filters
  #         4      4  size of the data in bytes, D (at most 1 MiB)
  #         8      2  number of write locks, W
  #        10      2  number of read locks, R
  #        12      2  number of append locks, A        W + R + A <= 256
  #        14      2  zero
  #        16      8  based_on + 1, where based_on is the highest id that the client had applied;
  #                   0: based on nothing
  #        24     16  XXH3-128 of the data, computed by the client, verified by readers, by nobody in between
  #        40      8  zero (intent of a multi-partition transaction)
  #        48  16·(W+R+A)  lock keys: write locks, then read locks, then append locks;
  #                   each a 128-bit hash of the key
  #         …      D  data
  #         …         zeros up to a multiple of 8

  checksum @6 :UInt64;
  # XXH3 of the block, seeded with XXH3 (seed 0) of these 40 bytes: partition u32, count u32, sessionHigh u64,
  # sessionLow u64, firstSequence u64, ordered as u64 (0 or 1). Malformed if it differs.
}

struct AppendResult {
  union {
    committed @0 :List(CommittedRun);  # cover the batch's sequences in order
    error @1 :CallError;               # nothing is known to be committed; repeat under the same sequences
  }
}

struct CommittedRun {
  # Sequences first … first + count - 1 are committed as ids id … id + count - 1, at
  # times time … time + count - 1.
  first @0 :UInt64;
  count @1 :UInt32;
  id @2 :UInt64;
  time @3 :UInt64;
}

struct FeedResult {
  union {
    entries @0 :FeedBatch;
    error @1 :CallError;
  }
}

struct FeedBatch {
  highWater @0 :UInt64;
  # The next id as far as this node knows: how fresh the answer is.

  entries @1 :List(Data);
  # Contiguous. An entry (version 1) holds the transactions that were committed together:
  #
  #   entry     offset  bytes
  #                  0      2  version, 1
  #                  2      2  number of sections
  #                  4      4  number of transactions
  #                  8      8  id of the first transaction
  #                 16      8  commit time of the first transaction
  #                 24      8  zero
  #                 32         sections
  #   section        0      8  append session, high half
  #                  8      8  append session, low half
  #                 16      8  sequence of the section's first transaction
  #                 24      4  number of transactions
  #                 28      4  bytes of records
  #                 32      8  zero
  #                 40         records, laid out as in AppendBatch.block
  #
  # A transaction's id and time are the entry's plus its position in the entry; its sequence is the section's
  # plus its position in the section.

  checksum @2 :UInt64;
  # Begin with sum = highWater; for each entry sum = XXH3 of the entry, seeded with sum.
}

struct HighWaterResult {
  union {
    highWater @0 :UInt64;
    error @1 :CallError;
  }
}

enum ErrorCode {
  none @0;              # never sent
  notLeader @1;         # go to `hint`, if it is not 0
  overloaded @2;        # nothing was done; try again after retryAfterNs
  tooLarge @3;          # above `limit`, in the unit of what was limited
  outOfOrder @4;        # `limit` is the sequence to go on from
  expired @5;           # the session's window has passed this sequence: its outcome is forgotten
  unauthorized @6;
  noSuchPartition @7;
  unavailable @8;       # no leader, a failed disk, or starting up: try again, here or elsewhere
  deadlineExceeded @9;  # the outcome is unknown: repeat under the same sequences
  malformed @10;        # the caller is at fault
}

struct CallError {
  code @0 :ErrorCode;
  hint @1 :UInt64;
  retryAfterNs @2 :UInt64;
  limit @3 :UInt64;
  text @4 :Text;        # one sentence for a human: what to do
}

enum Role {
  follower @0;
  preCandidate @1;
  candidate @2;
  leader @3;
}

struct StatusResult {
  union {
    status @0 :Status;
    error @1 :CallError;
  }
}

struct Status {
  # A node as it sees itself.
  node @0 :UInt64;
  cluster @1 :UInt64;
  incarnation @2 :UInt64;
  version @3 :Text;
  ready @4 :Bool;           # recovered and serving
  disk @5 :Text;            # "ok", or what is wrong
  journalBytes @6 :UInt64;
  journalFiles @7 :UInt64;
  syncs @8 :UInt64;         # data syncs since the start
  durableLsn @9 :UInt64;    # journal records up to here are durable
  groups @10 :List(Group);

  struct Group {
    # One Raft group; partition p is group p + 1.
    group @0 :UInt32;
    role @1 :Role;
    term @2 :UInt64;
    leader @3 :UInt64;      # 0: unknown
    firstIndex @4 :UInt64;
    lastIndex @5 :UInt64;
    commitIndex @6 :UInt64;
    appliedIndex @7 :UInt64;
    highWater @8 :UInt64;
    sessions @9 :UInt64;
    peers @10 :List(Peer);  # the leader's view; empty elsewhere
  }

  struct Peer {
    node @0 :UInt64;
    matchIndex @1 :UInt64;  # its log is known to equal the leader's up to here
    connected @2 :Bool;
  }
}

interface Admin {
  # For operators.

  transport @0 () -> (counters :TransportCounters);
  # What the node's network saw since its start.
}

struct TransportCounters {
  accepted @0 :UInt64;              # connections
  refused @1 :UInt64;               # connections beyond a limit
  logins @2 :UInt64;
  loginsRefused @3 :UInt64;
  loginsLate @4 :UInt64;            # connections closed because nobody logged in
  framesRefused @5 :UInt64;         # connections closed for what they sent
  calls @6 :UInt64;
  callsCancelled @7 :UInt64;
  peerMessagesSent @8 :UInt64;
  peerMessagesReceived @9 :UInt64;
  peerMessagesDropped @10 :UInt64;  # a link was down or full
  bytesSent @11 :UInt64;
  bytesReceived @12 :UInt64;
  writes @13 :UInt64;               # system calls: far fewer than messages
}
