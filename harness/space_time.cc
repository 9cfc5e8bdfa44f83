#include "harness/space_time.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "node/describe.h"

namespace reel::harness {
namespace {

constexpr std::size_t kTimeColumns = 12;
constexpr std::size_t kColumnMin = 9;
// Rows kept in memory; beyond, half of them go, those of little weight first.
constexpr std::size_t kRowsMax = 20'000;
// The last rows are shown whatever they say.
constexpr std::size_t kLastRows = 22;
constexpr std::size_t kPlanLinesMax = 6;

std::string seconds_of(io::Instant time) {
  char text[32];
  std::snprintf(text, sizeof text, "%10.6f", static_cast<double>(time.ns) / 1e9);
  return text;
}

std::string first_words(const std::string& text, std::size_t columns) {
  return text.size() <= columns ? text : text.substr(0, columns - 3) + "...";
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The same but for its numbers?
bool alike(std::string_view a, std::string_view b) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      while (i < a.size() && is_digit(a[i])) ++i;
      while (j < b.size() && is_digit(b[j])) ++j;
    } else if (a[i++] != b[j++]) {
      return false;
    }
  }
  return i == a.size() && j == b.size();
}

std::string in_group(GroupId group) {
  return group == kClusterGroup ? "" : "g" + std::to_string(group.value) + " ";
}

}  // namespace

SpaceTime::SpaceTime(Simulation& simulation) : simulation_(simulation), columns_(simulation.replicas()) {
  for (const NodeId client : simulation.clients()) {
    if (simulation.takes_part(client)) columns_.push_back(client);
  }
  simulation_.world().add_observer(this);
  simulation_.add_step_observer(this);
}

SpaceTime::~SpaceTime() {
  simulation_.world().remove_observer(this);
  simulation_.remove_step_observer(this);
}

std::size_t SpaceTime::column_of(NodeId machine) const {
  return static_cast<std::size_t>(std::find(columns_.begin(), columns_.end(), machine) - columns_.begin());
}

void SpaceTime::add(NodeId machine, std::string text, Weight weight, std::optional<NodeId> from) {
  Row row;
  row.time = simulation_.world().time();
  row.column = column_of(machine);
  if (from) row.from = column_of(*from);
  row.text = std::move(text);
  row.weight = weight;
  if (!rows_.empty()) {
    Row& last = rows_.back();
    if (last.column == row.column && last.from == row.from && alike(last.text, row.text)) {
      row.times = last.times + 1;
      last = std::move(row);
      return;
    }
  }
  rows_.push_back(std::move(row));
  if (rows_.size() < kRowsMax) return;
  const std::size_t before = rows_.size();
  const std::size_t half = before / 2;
  std::vector<Row> kept;
  for (std::size_t i = 0; i < before; ++i) {
    if (i >= half || rows_[i].weight == Weight::turn) kept.push_back(std::move(rows_[i]));
  }
  if (kept.size() > before - half / 2)
    kept.erase(kept.begin(), kept.end() - static_cast<std::ptrdiff_t>(half));
  rows_ = std::move(kept);
  dropped_ += before - rows_.size();
}

void SpaceTime::on_event(const sim::EventRecord& record) {
  switch (record.kind) {
    case sim::EventKind::boot: return add(record.machine, "boots", Weight::turn);
    case sim::EventKind::crash: return add(record.machine, "CRASHES", Weight::turn);
    case sim::EventKind::pause: return add(record.machine, "STANDS STILL", Weight::turn);
    case sim::EventKind::resume: return add(record.machine, "goes on", Weight::turn);
    case sim::EventKind::call_failed: return add(record.machine, "call failed", Weight::answer);
    case sim::EventKind::peer_down: return add(record.machine, "connection lost", Weight::answer);
    case sim::EventKind::fault: break;
    default: return;
  }
  // What the chain was told of a program is enough to know it again.
  for (const sim::FaultProgram& program : simulation_.plan().programs) {
    if (sim::fault_digest(program.kind, program.id) != record.digest) continue;
    add(record.machine, "FAULT " + std::string(name_of(program.kind)) + " #" + std::to_string(program.id),
        Weight::turn);
    return;
  }
}

void SpaceTime::on_received(NodeId self, const node::ReceivedParcel& received) {
  if (!received.parcel.is<PeerBatch>()) return;
  for (const PeerMessage& message : received.parcel.get<PeerBatch>().messages) {
    const std::string text = node::describe(message);
    if (text.empty()) continue;
    const bool votes = std::holds_alternative<VoteRequest>(message.body) ||
                       std::holds_alternative<VoteReply>(message.body) ||
                       std::holds_alternative<TimeoutNow>(message.body);
    const bool holds =
        std::holds_alternative<AppendReply>(message.body) && std::get<AppendReply>(message.body).accepted;
    add(self, text, votes ? Weight::decision : holds ? Weight::answer : Weight::traffic, received.from);
  }
}

void SpaceTime::on_note(NodeId self, const node::Note& note) {
  const auto number = [](auto value) { return std::to_string(value.value); };
  if (const auto* role = std::get_if<node::NoteRole>(&note)) {
    if (role->role == Role::follower) {
      if (role->leader.value != 0)
        add(self, in_group(role->group) + "follows " + number(role->leader) + " t" + number(role->term),
            Weight::decision);
    } else {
      const bool leads = role->role == Role::leader;
      add(self, in_group(role->group) + (leads ? "LEADS" : name_of(role->role)) + " t" + number(role->term),
          leads ? Weight::turn : Weight::decision);
    }
  } else if (const auto* state = std::get_if<node::NoteHardState>(&note)) {
    if (state->state.vote.value != 0)
      add(self,
          in_group(state->group) + "votes " + number(state->state.vote) + " t" + number(state->state.term),
          Weight::decision);
  } else if (const auto* cut = std::get_if<node::NoteTruncated>(&note)) {
    add(self, in_group(cut->group) + "CUTS from " + number(cut->from), Weight::turn);
  } else if (const auto* booted = std::get_if<node::NoteBooted>(&note)) {
    add(self,
        in_group(booted->group) + "has 1.." + number(booted->last.index) + " t" +
            number(booted->hard_state.term),
        Weight::turn);
  } else if (const auto* entry = std::get_if<node::NoteAppended>(&note)) {
    add(self,
        in_group(entry->group) + "logs " + number(entry->identity.index) + "/t" +
            number(entry->identity.term),
        Weight::traffic);
  } else if (const auto* committed = std::get_if<node::NoteCommitted>(&note)) {
    add(self, in_group(committed->group) + "commits " + number(committed->index), Weight::decision);
  }
}

void SpaceTime::on_step(const node::Node& node, const io::Now&, const node::Event& event,
                        const node::Effects& effects) {
  const NodeId self = node.stamp().node;
  if (const auto* received = std::get_if<node::ReceivedParcel>(&event)) on_received(self, *received);
  if (const auto* request = std::get_if<node::Request>(&event)) {
    if (request->body.is<ClientCall>())
      add(self, "> " + node::describe(request->body.get<ClientCall>()), Weight::traffic);
  }
  for (const node::Note& note : effects.notes) on_note(self, note);
  for (const node::Reply& reply : effects.replies) {
    if (std::holds_alternative<FeedResult>(reply.body)) continue;
    add(self, "< " + node::describe(reply.body), Weight::decision);
  }
  if (effects.halt) add(self, "HALTS: " + *effects.halt, Weight::turn);
}

// The last rows, and of those before them the heaviest; of equal weight the latest.
std::vector<std::size_t> SpaceTime::chosen(std::size_t count) const {
  std::vector<std::size_t> order(rows_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (order.size() <= count) return order;
  const std::size_t tail = rows_.size() - std::min(kLastRows, count);
  std::sort(order.begin(), order.end(), [this, tail](std::size_t a, std::size_t b) {
    const auto weight = [this, tail](std::size_t i) {
      return i >= tail ? 255u : static_cast<unsigned>(rows_[i].weight);
    };
    return weight(a) != weight(b) ? weight(a) > weight(b) : a > b;
  });
  order.resize(count);
  std::sort(order.begin(), order.end());
  return order;
}

void SpaceTime::draw(const Row& row, std::size_t width, std::size_t columns_max, std::string& out) const {
  std::string line = seconds_of(row.time) + "  ";
  line.resize(columns_max, ' ');
  // Machines beyond the last column that fits are not drawn: the line would break.
  const std::size_t drawn = std::min(columns_.size(), (columns_max - kTimeColumns) / width);
  if (row.column < columns_.size() && row.column >= drawn) return;
  const auto start_of = [width](std::size_t column) { return kTimeColumns + column * width; };
  std::string text = row.text;
  if (row.times > 1) text += " (x" + std::to_string(row.times) + ")";
  if (row.column >= columns_.size()) {  // the world
    for (std::size_t i = kTimeColumns; i < columns_max; ++i) line[i] = '-';
    text = " " + text + " ";
    line.replace(start_of(0), std::min(text.size(), columns_max - start_of(0)),
                 text.substr(0, columns_max - start_of(0)));
  } else {
    const std::size_t start = start_of(row.column);
    for (std::size_t column = 0; column < drawn; ++column) line[start_of(column)] = '|';
    if (row.from && *row.from < row.column) {
      const std::size_t from = start_of(*row.from);
      for (std::size_t i = from + 1; i + 1 < start; ++i) line[i] = '-';
      line[from] = 'o';
      line[start - 1] = '>';
    }
    const std::size_t room = columns_max - start - 1;
    text = first_words(text, room);
    line.replace(start, text.size(), text);
    if (row.from && *row.from > row.column && *row.from < drawn) {
      const std::size_t from = start_of(*row.from);
      const std::size_t tip = start + text.size() + 1;
      for (std::size_t i = tip; i < from; ++i) line[i] = i == tip ? '<' : '-';
      if (tip < from) line[from] = 'o';
    }
  }
  while (line.ends_with(' ')) line.pop_back();
  out += line + "\n";
}

std::string SpaceTime::text(const SpaceTimeSize& size) const {
  std::string out;
  std::size_t lines = 3;  // the head, and two for the failure
  const std::string plan = simulation_.plan().text();
  std::size_t shown = 0;
  for (std::size_t at = 0; at < plan.size();) {
    const std::size_t end = plan.find('\n', at);
    if (shown == kPlanLinesMax) {
      out += "fault ... and others\n";
      ++lines;
      break;
    }
    out += first_words("fault " + plan.substr(at, end - at), size.columns_max) + "\n";
    ++shown, ++lines;
    at = end + 1;
  }
  const std::size_t width =
      std::max(kColumnMin, (size.columns_max - kTimeColumns) / std::max<std::size_t>(1, columns_.size()));
  std::string head = "   seconds  ";
  for (const NodeId machine : columns_) {
    std::string name = (machine.value < kFirstClient ? "node " : "client ") + std::to_string(machine.value);
    name.resize(std::max(width, name.size() + 1), ' ');
    head += name;
  }
  out += first_words(head, size.columns_max) + "\n";
  const std::size_t room = size.lines_max > lines + 2 ? size.lines_max - lines : 2;
  std::size_t expected = 0;
  std::vector<std::size_t> rows = chosen(room);
  const auto gaps = [&rows] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] != (i == 0 ? 0 : rows[i - 1] + 1)) ++count;
    }
    return count;
  };
  for (std::size_t count = room; count > 1 && rows.size() + gaps() > room; --count) rows = chosen(count - 1);
  for (const std::size_t i : rows) {
    if (i != expected) out += "       ...\n";
    expected = i + 1;
    draw(rows_[i], width, size.columns_max, out);
  }
  if (const auto& failure = simulation_.world().failure()) {
    out += first_words(seconds_of(failure->time) + "  FAILS: " + failure->oracle, size.columns_max) + "\n";
    out += first_words("            " + failure->text, size.columns_max) + "\n";
  }
  return out;
}

std::string draw_space_time(const Trial& trial, const SpaceTimeSize& size) {
  Simulation simulation(trial.options, trial.overrides, trial.between);
  const SpaceTime diagram(simulation);
  (void)simulation.run();
  return diagram.text(size);
}

}  // namespace reel::harness
