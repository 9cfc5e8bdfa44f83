#include "harness/bench/feed_load.h"

#include "harness/bench/interval.h"
#include "harness/refusal.h"
#include "io/real/clock.h"
#include "io/wire/codec.h"

namespace reel::harness {

class FeedLoad::Reading final : public client::Driver {
 public:
  Reading(RealClient& client, NodeId node, TxnId end, FeedLoad& owner)
      : Driver(client.ports(), wire::kClientCallCodec), node_(node), end_(end), owner_(owner) {
    begin();
    client.attach(*this);
  }
  std::uint64_t transactions() const { return transactions_; }
  std::uint64_t bytes() const { return bytes_; }

  void on_transaction(const log::Transaction& transaction) override {
    ++transactions_;
    bytes_ += transaction.record.data.size();
  }
  void on_progress() override {
    client::Reader& reader = *readers().front();
    if (reader.failure()) {
      owner_.error_ = *reader.failure();
      return owner_.loop_.stop();
    }
    if (reader.next() >= end_) begin();
  }

 private:
  void begin() {
    client::ReaderOptions options;
    options.nodes = {node_};
    options.wait = {};
    readers().clear();
    open_reader(options);
  }

  NodeId node_;
  TxnId end_;
  FeedLoad& owner_;
  std::uint64_t transactions_ = 0;
  std::uint64_t bytes_ = 0;
};

FeedLoad::FeedLoad(real::Loop& loop, const ConnectFlags& flags, NodeId node, std::uint32_t readers, TxnId end)
    : loop_(loop) {
  for (std::uint32_t i = 0; i < readers; ++i) {
    clients_.push_back(std::make_unique<RealClient>(loop, flags));
    readings_.push_back(std::make_unique<Reading>(*clients_.back(), node, end, *this));
  }
}

FeedLoad::~FeedLoad() = default;

FeedLoadReport FeedLoad::run(io::Duration duration, const std::function<void(double)>& watch) {
  for (auto& reading : readings_) reading->on_start();
  FeedLoadReport report;
  report.seconds = run_measured(loop_, {{}, duration}, error_, [](bool) {}, watch);
  for (const auto& reading : readings_) {
    report.of_reader.push_back(reading->transactions());
    report.transactions += reading->transactions();
    report.bytes += reading->bytes();
  }
  return report;
}

}  // namespace reel::harness
