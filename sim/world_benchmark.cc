// What the engine itself costs: hosts that do next to nothing, in a ring. Prints ns per event and events per
// second. Not a timed test: figures belong into reports.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "sim/world.h"

namespace reel::sim {
namespace {

struct Load {
  bool messages = true;  // every wake sends one to the next machine
  bool disk = false;     // every wake writes 4 KiB
};

class RingHost final : public io::Host {
 public:
  RingHost(io::Ports& ports, io::NodeId next, const Load& load, const io::Parcel& parcel,
           const io::Bytes& page)
      : ports_(ports), next_(next), load_(load), parcel_(parcel), page_(page) {}

  void on_start() override {
    if (load_.disk) {
      ports_.disk.submit({.op = io::DiskOpId(++op_),
                          .verb = io::DiskVerb::create,
                          .file = io::FileId(1),
                          .name = "journal",
                          .offset = 0,
                          .length = kPages * io::kSectorBytes,
                          .data = {}});
      return;
    }
    on_wake();
  }
  void on_wake() override {
    if (load_.messages) ports_.network.send(next_, parcel_);
    if (load_.disk) write();
    ports_.clock.wake_at(ports_.clock.now().monotonic + io::microseconds(1000));
  }
  void on_received(io::NodeId, io::Parcel) override {}
  void on_disk(io::DiskResult result) override {
    if (result.verb == io::DiskVerb::create) on_wake();
    if (result.verb == io::DiskVerb::write) {
      ports_.disk.submit({.op = io::DiskOpId(++op_),
                          .verb = io::DiskVerb::sync,
                          .file = io::FileId(1),
                          .name = {},
                          .offset = 0,
                          .length = 0,
                          .data = {}});
    }
  }

 private:
  static constexpr std::uint64_t kPages = 64;
  void write() {
    const std::uint64_t page = written_++ % kPages;
    ports_.disk.submit({.op = io::DiskOpId(++op_),
                        .verb = io::DiskVerb::write,
                        .file = io::FileId(1),
                        .name = {},
                        .offset = page * io::kSectorBytes,
                        .length = io::kSectorBytes,
                        .data = {page_}});
  }

  io::Ports& ports_;
  io::NodeId next_;
  Load load_;
  const io::Parcel& parcel_;
  const io::Bytes& page_;
  std::uint64_t op_ = 0;
  std::uint64_t written_ = 0;
};

void measure(const char* name, const Load& load, std::uint64_t machines, std::uint64_t events) {
  const io::Parcel parcel =
      io::parcel_of(io::Bytes::copy_of(std::string_view("a small message of some bytes")));
  io::Buffer buffer = io::Buffer::allocate(io::kSectorBytes);
  for (std::size_t i = 0; i < buffer.size(); ++i) buffer.data()[i] = static_cast<std::byte>(i);
  const io::Bytes page = std::move(buffer).freeze();
  World world({.seed = 1, .network = {}, .disk = {}});
  for (std::uint64_t i = 1; i <= machines; ++i) {
    const io::NodeId next(i % machines + 1);
    MachineOptions options;
    options.id = io::NodeId(i);
    options.factory = [=, &parcel, &page](io::Ports& ports) -> std::unique_ptr<io::Host> {
      return std::make_unique<RingHost>(ports, next, load, parcel, page);
    };
    world.add(std::move(options));
  }
  world.boot_all();
  const auto start = std::chrono::steady_clock::now();
  world.run_while([&] { return world.events() < events; }, io::kNever);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%-28s %2llu machines %9llu events  %6.1f ns/event  %5.2f M events/s  chain %016llx\n", name,
              static_cast<unsigned long long>(machines), static_cast<unsigned long long>(world.events()),
              took.count() * 1e9 / static_cast<double>(world.events()),
              static_cast<double>(world.events()) / took.count() / 1e6,
              static_cast<unsigned long long>(world.chain()));
}

}  // namespace
}  // namespace reel::sim

int main(int argc, char** argv) {
  const std::uint64_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 3'000'000;
  using reel::sim::measure;
  measure("wakes", {.messages = false, .disk = false}, 5, events);
  measure("wakes and messages", {.messages = true, .disk = false}, 5, events);
  measure("messages, many machines", {.messages = true, .disk = false}, 60, events);
  measure("messages, writes and syncs", {.messages = true, .disk = true}, 5, events);
  return 0;
}
