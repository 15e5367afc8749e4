// Memory whose every access is checked: Span in global memory, SharedSpan in shared memory, where besides races are looked for.
#pragma once

namespace fovea {

/** An index, and the line that has it. */
struct Index {
  long long at;
  Place place;
  template <class Integer>
  Index(Integer i, const char *file = __builtin_FILE(), int line = __builtin_LINE()) : at(static_cast<long long>(i)), place{file, line} {}
};

/** Ends the launch where `Vector`, beginning at element i of `bytes` bytes of Type, is not wholly within them or not aligned to its size. No name: a parameter. */
template <class Type, class Vector> inline void check(const Type *data, unsigned long long bytes, const Index &i, const char *name) {
  const unsigned long long count = bytes / sizeof(Type), at = static_cast<unsigned long long>(i.at);
  if (__builtin_expect(at >= count || (count - at) * sizeof(Type) < sizeof(Vector), 0)) {
    if (name == nullptr) name = machine->spanName(data);
    machine->fail(i.place, "index %lld of %s, which has %llu elements of %d bytes%s", i.at, name, count, static_cast<int>(sizeof(Type)),
                  sizeof(Vector) > sizeof(Type) && at < count ? ": the vector that begins there ends behind it" : "");
  }
  if (__builtin_expect(reinterpret_cast<unsigned long long>(data + i.at) % alignof(Vector) != 0, 0)) {
    if (name == nullptr) name = machine->spanName(data);
    machine->fail(i.place, "index %lld of %s is not aligned to the %d bytes of a vector", i.at, name, static_cast<int>(alignof(Vector)));
  }
}

/** An element of shared memory: read where it is converted, written where it is assigned. */
template <class Type> class SharedElement {
  Type *at;
  const char *name;
  Place place;
  void touch(Access access) const { machine->touchShared(at, sizeof(Type), access, name, place); }

public:
  SharedElement(Type *at, const char *name, Place place) : at(at), name(name), place(place) {}
  operator Type() const {
    touch(reading);
    return *at;
  }
  const SharedElement &operator=(Type v) const {
    touch(writing);
    *at = v;
    return *this;
  }
  const SharedElement &operator=(const SharedElement &v) const { return *this = static_cast<Type>(v); }
  template <class Other> const SharedElement &operator+=(const Other &v) const { return *this = static_cast<Type>(*this) + v; }
  template <class Other> const SharedElement &operator-=(const Other &v) const { return *this = static_cast<Type>(*this) - v; }
  template <class Other> const SharedElement &operator*=(const Other &v) const { return *this = static_cast<Type>(*this) * v; }
};

}  // namespace fovea

template <class Type> struct Span {
  Type *data;
  u64 bytes;
  Type &operator[](const fovea::Index &i) const {
    fovea::check<Type, Type>(data, bytes, i, nullptr);
    return data[i.at];
  }
  template <class Vector> Vector load(const fovea::Index &i) const {
    fovea::check<Type, Vector>(data, bytes, i, nullptr);
    return *reinterpret_cast<const Vector *>(data + i.at);
  }
  template <class Vector> void store(const fovea::Index &i, Vector v) const {
    fovea::check<Type, Vector>(data, bytes, i, nullptr);
    *reinterpret_cast<Vector *>(data + i.at) = v;
  }
};

template <class Type> struct SharedSpan {
  Type *data;
  u64 bytes;
  const char *name;
  fovea::SharedElement<Type> operator[](const fovea::Index &i) const {
    fovea::check<Type, Type>(data, bytes, i, name);
    return {data + i.at, name, i.place};
  }
  template <class Vector> Vector load(const fovea::Index &i) const {
    fovea::check<Type, Vector>(data, bytes, i, name);
    fovea::machine->touchShared(data + i.at, sizeof(Vector), fovea::reading, name, i.place);
    return *reinterpret_cast<const Vector *>(data + i.at);
  }
  template <class Vector> void store(const fovea::Index &i, Vector v) const {
    fovea::check<Type, Vector>(data, bytes, i, name);
    fovea::machine->touchShared(data + i.at, sizeof(Vector), fovea::writing, name, i.place);
    *reinterpret_cast<Vector *>(data + i.at) = v;
  }
  template <class Other = Type> SharedSpan<Other> part(const fovea::Index &first, i64 count) const {
    const i64 own = static_cast<i64>(bytes / sizeof(Type)), left = (own - first.at) * static_cast<i64>(sizeof(Type));
    if (first.at < 0 || count < 0 || count * static_cast<i64>(sizeof(Other)) > left) {
      fovea::machine->fail(first.place, "a part of %s, which has %lld elements of %d bytes: %lld of %d bytes from element %lld on", name, own,
                           static_cast<int>(sizeof(Type)), count, static_cast<int>(sizeof(Other)), first.at);
    }
    return {reinterpret_cast<Other *>(data + first.at), count * sizeof(Other), name};
  }
};

namespace fovea {
template <class Type> SharedSpan<Type> dynamicShared(const char *name) {
  unsigned bytes;
  void *const data = machine->dynamicShared(&bytes);
  return {static_cast<Type *>(data), bytes / sizeof(Type) * sizeof(Type), name};
}
}

#define SHARED(Type, name, count)                                                                           \
  static const char name##_ = 0;                                                                            \
  const SharedSpan<Type> name{                                                                              \
    static_cast<Type *>(fovea::machine->sharedArray(&name##_, #name, sizeof(Type) * (count))), sizeof(Type) * (count), #name}
#define DYNAMIC_SHARED(Type, name) const SharedSpan<Type> name = fovea::dynamicShared<Type>(#name)

/** A load through the read-only cache: the same here. */
template <class Type> inline Type __ldg(const Type *p) { return *p; }
