#include "node/message.h"

#include "node/client_message.h"

namespace reel {

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::not_leader: return "NotLeader";
    case ErrorCode::overloaded: return "Overloaded";
    case ErrorCode::too_large: return "TooLarge";
    case ErrorCode::out_of_order: return "OutOfOrder";
    case ErrorCode::expired: return "Expired";
    case ErrorCode::unauthorized: return "Unauthorized";
    case ErrorCode::no_such_partition: return "NoSuchPartition";
    case ErrorCode::unavailable: return "Unavailable";
    case ErrorCode::deadline_exceeded: return "DeadlineExceeded";
    case ErrorCode::malformed: return "Malformed";
    case ErrorCode::no_such_reader_group: return "NoSuchReaderGroup";
  }
  return "?";
}

namespace {

std::optional<GroupId> group_of(const StatusCall&) { return std::nullopt; }
std::optional<GroupId> group_of(const CreatePartitionsCall&) { return kClusterGroup; }
std::optional<GroupId> group_of(const ReaderGroupCall&) { return kClusterGroup; }
std::optional<GroupId> group_of(const ReaderGroupsCall&) { return kClusterGroup; }
std::optional<GroupId> group_of(const RemoveReaderGroupCall&) { return kClusterGroup; }
template <class Call>
std::optional<GroupId> group_of(const Call& call) {
  return call.group;
}

}  // namespace

std::optional<GroupId> group_of(const ClientCall& call) {
  return std::visit([](const auto& body) { return group_of(body); }, call);
}

const char* name_of(RefusalCode code) {
  switch (code) {
    case RefusalCode::conflict: return "Conflict";
    case RefusalCode::stale: return "Stale";
    case RefusalCode::burned: return "Burned";
  }
  return "?";
}

const char* name_of(Role role) {
  switch (role) {
    case Role::follower: return "follower";
    case Role::pre_candidate: return "pre-candidate";
    case Role::candidate: return "candidate";
    case Role::leader: return "leader";
  }
  return "?";
}

}  // namespace reel
