#include "harness/cluster_survey.h"

#include <algorithm>
#include <utility>

#include "io/wire/codec.h"
#include "node/client/driver.h"

namespace reel::harness {
namespace {

class SurveyHost final : public client::Driver {
 public:
  SurveyHost(real::Loop& loop, RealClient& client)
      : Driver(client.ports(), wire::kClientCallCodec), loop_(loop) {
    client.attach(*this);
    for (const NodeId node : client.everyone()) calls_[call(node, StatusCall{})] = node;
    set_alarm(ports().clock.now().monotonic + kSurveyPatience);
  }
  void on_other_reply(io::CallId call, const ClientReply* reply) override {
    const auto it = calls_.find(call);
    if (it == calls_.end()) return;
    if (reply != nullptr) {
      if (const auto* status = std::get_if<StatusResult>(reply)) results_[it->second] = *status;
    }
    calls_.erase(it);
    if (calls_.empty()) loop_.stop();
  }
  void on_alarm() override {
    for (const auto& [call, node] : calls_) ports().remote.cancel(call);
    calls_.clear();
    loop_.stop();
  }
  std::map<NodeId, StatusResult> take() { return std::move(results_); }

 private:
  real::Loop& loop_;
  std::map<io::CallId, NodeId> calls_;
  std::map<NodeId, StatusResult> results_;
};

}  // namespace

std::map<NodeId, StatusResult> survey(real::Loop& loop, RealClient& client) {
  SurveyHost host(loop, client);
  host.flush();
  loop.run();
  return host.take();
}

std::vector<ClusterMember> members_by_node(const RealClient& client) {
  std::vector<ClusterMember> members = client.members();
  std::stable_sort(members.begin(), members.end(),
                   [](const ClusterMember& a, const ClusterMember& b) { return a.node < b.node; });
  return members;
}

std::string why_silent(const RealClient& client, const ClusterMember& member) {
  if (!member.error.empty()) return member.error;
  const std::string error = member.node.value == 0 ? "" : client.last_error(member.node);
  return error.empty() ? "no answer" : error;
}

}  // namespace reel::harness
