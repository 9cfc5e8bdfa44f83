#include "harness/node_recorder.h"

#include <array>
#include <charconv>

#include "io/real/clock.h"

namespace reel::harness {
namespace {

std::optional<GroupId> group_of(const io::Parcel& body) {
  if (!body.is<ClientCall>()) return std::nullopt;
  const auto& call = body.get<ClientCall>();
  if (const auto* append = std::get_if<AppendCall>(&call)) return append->group;
  if (const auto* feed = std::get_if<FeedCall>(&call)) return feed->group;
  if (const auto* wanted = std::get_if<HighWaterCall>(&call)) return wanted->group;
  if (const auto* lookup = std::get_if<TransactionCall>(&call)) return lookup->group;
  return std::nullopt;
}

// "word 1 2 3": the word and exactly `N` numbers behind it.
template <std::size_t N>
std::optional<std::array<std::uint64_t, N>> numbers_of(std::string_view mark, std::string_view word) {
  if (!mark.starts_with(word)) return std::nullopt;
  std::array<std::uint64_t, N> numbers{};
  const char* at = mark.data() + word.size();
  const char* const end = mark.data() + mark.size();
  for (std::uint64_t& number : numbers) {
    if (at == end || *at != ' ') return std::nullopt;
    const auto [next, error] = std::from_chars(at + 1, end, number);
    if (error != std::errc()) return std::nullopt;
    at = next;
  }
  if (at != end) return std::nullopt;
  return numbers;
}

}  // namespace

std::expected<std::unique_ptr<NodeRecorder>, std::string> NodeRecorder::start(const std::string& path,
                                                                              const std::string& directory,
                                                                              io::Disk& inner) {
  auto writer = real::RecordingWriter::create(path);
  if (!writer) return std::unexpected(writer.error());
  if (auto base = (*writer)->add_base(directory); !base) return std::unexpected(base.error());
  return std::unique_ptr<NodeRecorder>(new NodeRecorder(inner, std::move(*writer)));
}

void NodeRecorder::Disk::submit(io::DiskRequest request) {
  recorder.mark_time();
  recorder.recording_.submit(std::move(request));
}

void NodeRecorder::Results::on_disk(io::DiskResult result) {
  recorder.mark_time();
  recorder.recording_.results().on_disk(std::move(result));
}

void NodeRecorder::on_step(const node::Node&, const io::Now&, const node::Event& event,
                           const node::Effects& effects) {
  if (const auto* request = std::get_if<node::Request>(&event)) {
    if (const auto group = group_of(request->body)) calls_[request->call] = *group;
  }
  if (const auto* cancelled = std::get_if<node::Cancelled>(&event)) calls_.erase(cancelled->call);
  for (const node::Reply& reply : effects.replies) {
    const auto found = calls_.find(reply.call);
    if (found == calls_.end()) continue;
    mark_promise(found->second, reply.body);
    calls_.erase(found);
  }
}

void NodeRecorder::mark_time() { recording_.mark("at " + std::to_string(real::monotonic_now().ns)); }

void NodeRecorder::mark_promise(GroupId group, const ClientReply& reply) {
  const std::string of = std::to_string(group.value) + " ";
  const auto shown = [&](TxnId next) {
    mark_time();
    recording_.mark("shown " + of + std::to_string(next.value));
  };
  if (const auto* feed = std::get_if<FeedResult>(&reply)) return shown(feed->high_water);
  if (const auto* high = std::get_if<HighWaterResult>(&reply)) return shown(high->high_water);
  if (const auto* found = std::get_if<TransactionResult>(&reply)) return shown(found->high_water);
  const auto* appended = std::get_if<AppendResult>(&reply);
  if (appended == nullptr) return;
  mark_time();
  for (const CommittedRun& run : appended->runs) {
    recording_.mark("acked " + of + std::to_string(run.id.value) + " " + std::to_string(run.count));
  }
}

std::optional<Promise> promise_of(std::string_view mark) {
  if (const auto acked = numbers_of<3>(mark, "acked")) {
    const TxnId first((*acked)[1]);
    return Promise{GroupId(static_cast<std::uint32_t>((*acked)[0])), first, first + (*acked)[2], true};
  }
  if (const auto shown = numbers_of<2>(mark, "shown")) {
    const TxnId next((*shown)[1]);
    return Promise{GroupId(static_cast<std::uint32_t>((*shown)[0])), next, next, false};
  }
  return std::nullopt;
}

std::optional<std::int64_t> time_of(std::string_view mark) {
  const auto at = numbers_of<1>(mark, "at");
  if (!at || (*at)[0] > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>((*at)[0]);
}

}  // namespace reel::harness
