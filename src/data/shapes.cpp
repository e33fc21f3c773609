// Figures are signed distances in pixels (negative inside), so that edges are smooth at any angle. They
// lie anywhere at any angle: no single pixel tells the class, so a linear classifier stays near chance,
// while a few convolutions see it. They are always lighter than the ground: with either sign, every
// feature that is linear in the picture averages to nothing over a class, and a network stays at chance
// for epochs before it begins to learn.
#include "data/shapes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "base/philox.hpp"

namespace alder::data {
namespace {

constexpr int kSide = 32;
constexpr int kPixels = kSide * kSide;
// Test pictures are those from this position of the random stream on.
constexpr uint64_t kFirstTestPicture = uint64_t{1} << 40;

struct Point {
  float x, y;
};
using Colour = std::array<float, 3>;
// Signed distance of `p` from a figure around the origin that fits a circle of radius r.
using Figure = float (*)(Point p, float r);

float length(Point p) {
  return std::sqrt(p.x * p.x + p.y * p.y);
}
float box(Point p, float half_width, float half_height) {
  return std::max(std::abs(p.x) - half_width, std::abs(p.y) - half_height);
}

float disc(Point p, float r) {
  return length(p) - 0.85F * r;
}
float square(Point p, float r) {
  return box(p, 0.75F * r, 0.75F * r);
}
float triangle(Point p, float r) {
  constexpr float kSine = 0.8660254F;
  return std::max({p.y, kSine * p.x - 0.5F * p.y, -kSine * p.x - 0.5F * p.y}) - 0.5F * r;
}
float cross(Point p, float r) {
  return std::min(box(p, r, 0.26F * r), box(p, 0.26F * r, r));
}
float ring(Point p, float r) {
  return std::abs(length(p) - 0.75F * r) - 0.17F * r;
}

// A pentagram is where at least four of its five half-planes agree: the second largest distance.
float star(Point p, float r) {
  static const std::array<Point, 5> kNormals = [] {
    std::array<Point, 5> normals{};
    for (int i = 0; i < 5; ++i) {
      const float angle = static_cast<float>(i) * 2 * std::numbers::pi_v<float> / 5;
      normals[i] = {std::sin(angle), std::cos(angle)};
    }
    return normals;
  }();
  float largest = -1e9F, second = -1e9F;
  for (const Point n : kNormals) {
    const float distance = n.x * p.x + n.y * p.y;
    second = std::max(second, std::min(distance, largest));
    largest = std::max(largest, distance);
  }
  return second - 0.36F * r;
}

// Three parallel bars.
float stripes(Point p, float r) {
  const float from_bar = std::abs(p.y) - 0.62F * r;
  return std::max(std::min(std::abs(p.y), std::abs(from_bar)) - 0.16F * r, std::abs(p.x) - 0.8F * r);
}

// Two squares that touch at a corner.
float corners(Point p, float r) {
  const float to_axis = std::min(std::abs(p.x), std::abs(p.y));
  const bool same_sign = (p.x < 0) == (p.y < 0);
  return std::max(box(p, 0.76F * r, 0.76F * r), same_sign ? -to_axis : to_axis);
}

float crescent(Point p, float r) {
  return std::max(length(p) - 0.9F * r, 0.72F * r - length({p.x - 0.45F * r, p.y}));
}
float pair(Point p, float r) {
  return length({std::abs(p.x) - 0.58F * r, p.y}) - 0.38F * r;
}

struct NamedFigure {
  const char* name;
  Figure distance;
};
constexpr std::array<NamedFigure, 10> kFigures{{{"disc", disc},
                                                {"square", square},
                                                {"triangle", triangle},
                                                {"cross", cross},
                                                {"ring", ring},
                                                {"star", star},
                                                {"stripes", stripes},
                                                {"corners", corners},
                                                {"crescent", crescent},
                                                {"pair", pair}}};

float between(Random& random, float low, float high) {
  return low + (high - low) * random.uniform();
}

Colour draw_colour(Random& random, float low, float high) {
  return {between(random, low, high), between(random, low, high), between(random, low, high)};
}

float brightness(const Colour& colour) {
  return (colour[0] + colour[1] + colour[2]) / 3;
}

// Lighter than the ground by enough to be seen (the lightest colour always is, so the loop ends).
Colour draw_lighter(Random& random, const Colour& ground) {
  while (true) {
    const Colour colour = draw_colour(random, 0.3F, 1.0F);
    if (brightness(colour) > brightness(ground) + 0.3F) return colour;
  }
}

// Everything about a picture but its noise.
struct Scene {
  Point centre;
  float radius, cosine, sine;
  Colour ground, gradient, figure;  // ground + gradient * t, t from -1 to 1 across the picture
  float gradient_cosine, gradient_sine;
  float noise;
};

Scene draw_scene(Random& random) {
  Scene scene{};
  scene.radius = between(random, 7.0F, 13.0F);
  const float slack = 15.5F - 0.85F * scene.radius;
  scene.centre = {15.5F + between(random, -slack, slack), 15.5F + between(random, -slack, slack)};
  const float angle = between(random, 0, 2 * std::numbers::pi_v<float>);
  scene.cosine = std::cos(angle);
  scene.sine = std::sin(angle);
  scene.ground = draw_colour(random, 0.0F, 0.5F);
  scene.figure = draw_lighter(random, scene.ground);
  for (float& slope : scene.gradient) slope = between(random, -0.2F, 0.2F);
  const float direction = between(random, 0, 2 * std::numbers::pi_v<float>);
  scene.gradient_cosine = std::cos(direction) / 15.5F;
  scene.gradient_sine = std::sin(direction) / 15.5F;
  scene.noise = between(random, 0.02F, 0.12F);
  return scene;
}

// Colour of one pixel, by channel: the ground, covered by the figure as far as it reaches in.
Colour shade(const Scene& scene, Figure figure, int x, int y) {
  const Point p{static_cast<float>(x) - scene.centre.x, static_cast<float>(y) - scene.centre.y};
  const Point turned{scene.cosine * p.x + scene.sine * p.y, scene.cosine * p.y - scene.sine * p.x};
  const float cover = std::clamp(0.5F - figure(turned, scene.radius), 0.0F, 1.0F);
  const float t = scene.gradient_cosine * (static_cast<float>(x) - 15.5F) +
                  scene.gradient_sine * (static_cast<float>(y) - 15.5F);
  Colour colour{};
  for (int c = 0; c < 3; ++c) {
    const float ground = scene.ground[c] + scene.gradient[c] * t;
    colour[c] = ground + cover * (scene.figure[c] - ground);
  }
  return colour;
}

void draw_picture(uint64_t seed, uint64_t position, Figure figure, std::span<uint8_t> pixels) {
  Random random(seed, Draw::shapes, position);
  const Scene scene = draw_scene(random);
  for (int i = 0; i < kPixels; ++i) {
    const Colour colour = shade(scene, figure, i % kSide, i / kSide);
    uint32_t bits = random.bits();  // a byte a channel: triangular noise would cost twice the draws
    for (int c = 0; c < 3; ++c, bits >>= 8) {
      const float noise = (static_cast<float>(bits & 255) / 127.5F - 1.0F) * scene.noise;
      const float value = std::clamp((colour[c] + noise) * 255.0F + 0.5F, 0.0F, 255.0F);
      pixels[c * kPixels + i] = static_cast<uint8_t>(value);
    }
  }
}

Pictures draw_pictures(uint64_t seed, uint64_t first, int64_t count) {
  Pictures pictures;
  pictures.labels.resize(count);
  pictures.pixels.resize(count * pictures.bytes_per_picture());
  for (int64_t i = 0; i < count; ++i) {
    const int label = static_cast<int>(i % std::ssize(kFigures));
    pictures.labels[i] = label;
    draw_picture(seed, first + i, kFigures[label].distance,
                 std::span(pictures.pixels).subspan(i * pictures.bytes_per_picture(), 3 * kPixels));
  }
  return pictures;
}

}  // namespace

Dataset draw_shapes(uint64_t seed, int64_t train, int64_t test) {
  if (train < 0 || test < 0) {
    usage_error("{} training and {} test shapes cannot be drawn; give numbers from 0 on", train, test);
  }
  Dataset dataset;
  dataset.name = "shapes";
  dataset.classes = static_cast<int>(kFigures.size());
  for (const NamedFigure& figure : kFigures) dataset.class_names.emplace_back(figure.name);
  // Measured over 8,192 pictures; the same for every channel, as all colours are drawn alike.
  dataset.mean = {0.324F, 0.324F, 0.324F};
  dataset.deviation = {0.226F, 0.226F, 0.226F};
  dataset.train = draw_pictures(seed, 0, train);
  dataset.test = draw_pictures(seed, kFirstTestPicture, test);
  return dataset;
}

}  // namespace alder::data
