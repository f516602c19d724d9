"""The queries with ROOT's RDataFrame: run by ROOT's own Python, knows nothing of Beampipe.

Takes questions as `stand.py` does: one JSON object a line, and answers each with one.
"""

import json
import os
import sys
import time

CODE = r"""
#include "ROOT/RVec.hxx"
#include <cmath>
#include <vector>
namespace race {
using F = ROOT::VecOps::RVec<float>;
using I = ROOT::VecOps::RVec<int>;
struct P4 { double x, y, z, t; };
inline P4 cartesian(double pt, double eta, double phi, double mass) {
  const double x = pt * std::cos(phi), y = pt * std::sin(phi), z = pt * std::sinh(eta);
  return {x, y, z, std::sqrt(x * x + y * y + z * z + mass * mass)};
}
inline P4 add(const P4& a, const P4& b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.t + b.t}; }
inline double mass(const P4& p) {
  return std::sqrt(std::max(p.t * p.t - p.x * p.x - p.y * p.y - p.z * p.z, 0.0));
}
double pair_mass(const F& pt, const F& eta, const F& phi, const F& m, int i, int j) {
  return mass(add(cartesian(pt[i], eta[i], phi[i], m[i]), cartesian(pt[j], eta[j], phi[j], m[j])));
}
bool has_z(const F& pt, const F& eta, const F& phi, const F& m, const I& charge) {
  const int n = pt.size();
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j)
      if (charge[i] != charge[j]) {
        const double found = pair_mass(pt, eta, phi, m, i, j);
        if (found > 60 && found < 120) return true;
      }
  return false;
}
struct Trijet { double pt, tag; };
Trijet trijet(const F& pt, const F& eta, const F& phi, const F& m, const F& tag) {
  const int n = pt.size();
  static thread_local std::vector<P4> p;
  p.clear();
  for (int i = 0; i < n; ++i) p.push_back(cartesian(pt[i], eta[i], phi[i], m[i]));
  double best = 1e300;
  Trijet found{0, 0};
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j) {
      const P4 two = add(p[i], p[j]);
      for (int k = j + 1; k < n; ++k) {
        const P4 three = add(two, p[k]);
        const double distance = std::abs(mass(three) - 172.5);
        if (distance < best) {
          best = distance;
          found = {std::sqrt(three.x * three.x + three.y * three.y),
                   std::max(std::max(tag[i], tag[j]), tag[k])};
        }
      }
    }
  return found;
}
inline bool is_far(double eta, double phi, const F& pts, const F& etas, const F& phis) {
  for (size_t i = 0; i < pts.size(); ++i)
    if (pts[i] > 10) {
      const double turn = std::remainder(phi - phis[i], 2 * M_PI), side = eta - etas[i];
      if (turn * turn + side * side < 0.16) return false;
    }
  return true;
}
double jet_sum(const F& pt, const F& eta, const F& phi, const F& mpt, const F& meta, const F& mphi,
               const F& ept, const F& eeta, const F& ephi) {
  double sum = 0;
  for (size_t i = 0; i < pt.size(); ++i)
    if (pt[i] > 30 && is_far(eta[i], phi[i], mpt, meta, mphi) &&
        is_far(eta[i], phi[i], ept, eeta, ephi))
      sum += pt[i];
  return sum;
}
double transverse_mass(float met, float met_phi, const F& ept, const F& eeta, const F& ephi,
                       const F& em, const I& eq, const F& mpt, const F& meta, const F& mphi,
                       const F& mm, const I& mq) {
  static thread_local std::vector<P4> p;
  static thread_local std::vector<int> kind;
  static thread_local std::vector<double> pt, phi;
  p.clear(); kind.clear(); pt.clear(); phi.clear();
  const auto put = [](int flavour, const F& a, const F& b, const F& c, const F& d, const I& q) {
    for (size_t i = 0; i < a.size(); ++i) {
      p.push_back(cartesian(a[i], b[i], c[i], d[i]));
      kind.push_back(flavour * q[i]); pt.push_back(a[i]); phi.push_back(c[i]);
    }
  };
  put(11, ept, eeta, ephi, em, eq);
  put(13, mpt, meta, mphi, mm, mq);
  const int n = p.size();
  double best = 1e300;
  int first = -1, second = -1, third = -1;
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j)
      if (kind[i] == -kind[j]) {
        const double distance = std::abs(mass(add(p[i], p[j])) - 91.2);
        if (distance < best) { best = distance; first = i; second = j; }
      }
  if (first < 0) return -1;
  for (int i = 0; i < n; ++i)
    if (i != first && i != second && (third < 0 || pt[i] > pt[third])) third = i;
  return std::sqrt(2 * pt[third] * met * (1 - std::cos(met_phi - phi[third])));
}
}
"""


def columns(name, *fields):
    return ", ".join(f"{name}_{field}" for field in fields)


P4 = ("pt", "eta", "phi", "mass")


def book(frame, values, axis=(100, 0.0, 200.0)):
    return frame.Histo1D(("x", "", *axis), values)


def q1(frame):
    return {"met": book(frame, "MET_pt")}


def q2(frame):
    return {"jet pt": book(frame, "Jet_pt")}


def q3(frame):
    return {"jet pt": book(frame.Define("x", "Jet_pt[abs(Jet_eta) < 1]"), "x")}


def q4(frame):
    return {"met": book(frame.Filter("Sum(Jet_pt > 40) >= 2"), "MET_pt")}


def q5(frame):
    return {"met": book(frame.Filter(f"race::has_z({columns('Muon', *P4, 'charge')})"), "MET_pt")}


def q6(frame):
    trijet = f"race::trijet({columns('Jet', *P4, 'btagDeepFlavB')})"
    chosen = frame.Filter("nJet >= 3").Define("trijet", trijet)
    pt, tag = chosen.Define("x", "trijet.pt"), chosen.Define("x", "trijet.tag")
    return {"pt": book(pt, "x"), "btag": book(tag, "x", (100, 0.0, 1.0))}


def q7(frame):
    arguments = ", ".join(columns(name, "pt", "eta", "phi") for name in ("Jet", "Muon", "Electron"))
    return {"sum of pt": book(frame.Define("x", f"race::jet_sum({arguments})"), "x")}


def q8(frame):
    leptons = ", ".join(columns(name, *P4, "charge") for name in ("Electron", "Muon"))
    enough = frame.Filter("nElectron + nMuon >= 3")
    found = enough.Define("x", f"race::transverse_mass(MET_pt, MET_phi, {leptons})")
    return {"transverse mass": book(found.Filter("x >= 0"), "x")}


def dimuon(frame):
    two = frame.Filter("nMuon == 2").Filter("Muon_charge[0] != Muon_charge[1]")
    pairs = two.Define("x", f"race::pair_mass({columns('Muon', *P4)}, 0, 1)")
    return {"mass": book(pairs, "x", (30_000, 0.25, 300.0))}


QUERIES = {name: globals()[name] for name in (*(f"q{n}" for n in range(1, 9)), "dimuon")}


def answer(root, question):
    began = time.perf_counter()
    frame = root.RDataFrame("Events", question["paths"])
    booked = QUERIES[question["query"]](frame)
    counts = {
        name: [int(h.GetBinContent(i)) for i in range(h.GetNbinsX() + 2)]
        for name, h in ((name, result.GetValue()) for name, result in booked.items())
    }
    return {"seconds": time.perf_counter() - began, "counts": counts}


def main():
    # ROOT writes to standard output when it likes; answers have a way of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import ROOT

    ROOT.gErrorIgnoreLevel = ROOT.kError
    ROOT.EnableImplicitMT(2)
    ROOT.gInterpreter.Declare(CODE)
    for line in sys.stdin:
        try:
            said = answer(ROOT, json.loads(line))
        except Exception as error:  # noqa: BLE001  whatever it is, the other side is told
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()
