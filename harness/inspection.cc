#include "harness/inspection.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "node/describe.h"

namespace reel::harness {
namespace {

constexpr std::size_t kUnderWayMax = 24;

std::string seconds_of(io::Instant time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9f s", static_cast<double>(time.ns) / 1e9);
  return text;
}

std::string name_of(NodeId machine) {
  return (machine.value < kFirstClient ? "node " : "client ") + std::to_string(machine.value);
}

std::string describe(const io::Parcel& parcel) {
  if (parcel.is<ClientCall>()) return node::describe(parcel.get<ClientCall>());
  if (parcel.is<ClientReply>()) return node::describe(parcel.get<ClientReply>());
  if (!parcel.is<PeerBatch>()) return "";
  std::string text;
  for (const PeerMessage& message : parcel.get<PeerBatch>().messages) {
    const std::string one = node::describe(message);
    text += (text.empty() ? "" : "; ") + (one.empty() ? "heartbeat" : one);
  }
  return text;
}

// The number in front of `unit`, in nanoseconds; up to nine digits behind the point.
std::optional<std::int64_t> read_time(std::string_view number, std::int64_t unit_ns) {
  const std::size_t point = std::min(number.find('.'), number.size());
  std::int64_t whole = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + point, whole);
  if (error != std::errc() || end != number.data() + point || whole < 0 || whole > 1'000'000'000)
    return std::nullopt;
  std::int64_t ns = whole * unit_ns;
  std::int64_t digit = unit_ns;
  for (std::size_t i = point + 1; i < number.size(); ++i) {
    if (number[i] < '0' || number[i] > '9') return std::nullopt;
    digit /= 10;
    ns += digit * (number[i] - '0');
  }
  if (point + 1 == number.size()) return std::nullopt;
  return ns;
}

}  // namespace

std::expected<Moment, std::string> parse_moment(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::int64_t ns;
  };
  for (const Unit& unit :
       {Unit{"ns", 1}, Unit{"us", 1'000}, Unit{"ms", 1'000'000}, Unit{"s", 1'000'000'000}}) {
    if (!text.ends_with(unit.name)) continue;
    const auto ns = read_time(text.substr(0, text.size() - unit.name.size()), unit.ns);
    if (ns) return Moment{std::nullopt, io::Instant{*ns}};
    break;
  }
  std::uint64_t events = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), events);
  if (error == std::errc() && end == text.data() + text.size()) return Moment{events, {}};
  return std::unexpected(
      "'" + std::string(text) +
      "' is no moment of a run: give a time such as 12.3s or 450ms, or a number of events");
}

bool is_reached(const Moment& moment, const sim::World& world) {
  if (moment.events) return world.events() >= *moment.events;
  return world.events() > 0 && world.next_time() > moment.time;  // before the first boot nothing waits
}

std::optional<NodeId> machine_by_name(const Simulation& simulation, std::string_view name) {
  for (const std::string_view word : {"node", "client"}) {
    if (!name.starts_with(word)) continue;
    name.remove_prefix(word.size());
    if (name.starts_with(' ')) name.remove_prefix(1);
    break;
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  const NodeId id(number);
  for (const auto* machines : {&simulation.replicas(), &simulation.clients()}) {
    if (std::find(machines->begin(), machines->end(), id) != machines->end()) return id;
  }
  return std::nullopt;
}

std::string inspect(Simulation& simulation, NodeId machine) {
  sim::World& world = simulation.world();
  const std::uint32_t life = world.life(machine);
  std::string out = name_of(machine) + " at " + seconds_of(world.time()) + ", event " +
                    std::to_string(world.events()) + ": " +
                    (!world.running(machine) ? "down"
                     : world.paused(machine) ? "stands still"
                                             : "runs") +
                    ", booted " + std::to_string(life) + " times\n";
  if (const node::Driver* driver = simulation.driver(machine))
    out += node::describe(driver->node(), world.now_at(machine).monotonic);
  const sim::Disk& disk = world.disk(machine);
  out += "disk: " + std::to_string(disk.in_flight()) + " operations in flight, " +
         std::to_string(disk.volatile_operations()) + " not synced";
  if (disk.stalled_until() > world.time()) out += ", hangs until " + seconds_of(disk.stalled_until());
  out += "\n";
  for (const io::FileEntry& file : disk.files())
    out += "  " + file.name + " " + std::to_string(file.size) + " bytes\n";
  out += "calls without an answer: " + std::to_string(world.network().open_calls(world.index_of(machine))) +
         "\n";
  const std::vector<sim::World::UnderWay> coming = world.under_way(machine);
  out += "under way to it: " + std::to_string(coming.size()) + "\n";
  for (std::size_t i = 0; i < coming.size(); ++i) {
    if (i == kUnderWayMax) {
      out += "  ... and " + std::to_string(coming.size() - i) + " more\n";
      break;
    }
    out += "  " + seconds_of(coming[i].time) + " " + std::string(sim::name_of(coming[i].kind));
    if (coming[i].peer.value != 0) out += " from " + name_of(coming[i].peer);
    const std::string words = describe(coming[i].parcel);
    out += (words.empty() ? "" : ": " + words) + "\n";
  }
  return out;
}

// ---- the narrator -------------------------------------------------------------------------------------------------

Narrator::Narrator(Simulation& simulation) : simulation_(simulation) {
  simulation_.world().add_observer(this);
  simulation_.add_step_observer(this);
}

Narrator::~Narrator() {
  simulation_.world().remove_observer(this);
  simulation_.remove_step_observer(this);
}

void Narrator::on_event(const sim::EventRecord& record) {
  record_ = record;
  number_ = simulation_.world().events();
  text_ = std::move(step_);
  step_.clear();
}

void Narrator::on_step(const node::Node&, const io::Now&, const node::Event& event, const node::Effects&) {
  if (const auto* received = std::get_if<node::ReceivedParcel>(&event)) {
    step_ = "from " + name_of(received->from) + ": " + describe(received->parcel);
  } else if (const auto* request = std::get_if<node::Request>(&event)) {
    step_ = describe(request->body);
  }
}

std::string Narrator::last() const {
  const std::string who = record_.machine.value == 0 ? "the world" : name_of(record_.machine);
  return "event " + std::to_string(number_) + "  " + seconds_of(record_.time) + "  " + who + ": " +
         std::string(sim::name_of(record_.kind)) + (text_.empty() ? "" : " " + text_);
}

}  // namespace reel::harness
