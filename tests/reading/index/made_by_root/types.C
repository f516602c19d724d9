// Types and baskets that uproot cannot write. With ROOT 6.40: root -l -b -q types.C
#include <cstdio>
#include <string>
#include <vector>
#include "TFile.h"
#include "TLorentzVector.h"
#include "TTree.h"

void write(const char* path, int entries, int compression, bool generate, int cluster) {
  TFile file(path, "RECREATE", "", compression);
  TTree tree("Events", "types");
  if (generate) {
    ROOT::TIOFeatures features;
    features.Set("kGenerateOffsetMap");
    tree.SetIOFeatures(features);
  }
  tree.SetAutoFlush(cluster);
  std::vector<float> vf; std::vector<int> vi; std::vector<bool> vb; std::vector<double> vd;
  std::vector<unsigned short> vus; std::vector<char> vc; std::vector<Long64_t> vll;
  std::vector<std::vector<float>> vvf; std::vector<std::string> vs; std::string s;
  UInt_t nM; Float_t pt[8]; Int_t q[8]; UChar_t id[8]; Bool_t tight[8]; Double_t d2[8][3];
  UChar_t nS; Float_t small[255];
  Float16_t f16, f16r; Double32_t d32, d32r;
  Char_t name[40]; Short_t s2[4]; Int_t m23[2][3]; Bool_t flag; ULong64_t ul; Long64_t ev;
  struct { int a; float b; } p;
  TLorentzVector lv;
  tree.Branch("vf", &vf); tree.Branch("vi", &vi); tree.Branch("vb", &vb); tree.Branch("vd", &vd);
  tree.Branch("vus", &vus); tree.Branch("vc", &vc); tree.Branch("vll", &vll);
  tree.Branch("vvf", &vvf); tree.Branch("vs", &vs); tree.Branch("s", &s);
  tree.Branch("nM", &nM, "nM/i"); tree.Branch("M_pt", pt, "M_pt[nM]/F");
  tree.Branch("M_q", q, "M_q[nM]/I"); tree.Branch("M_id", id, "M_id[nM]/b");
  tree.Branch("M_tight", tight, "M_tight[nM]/O"); tree.Branch("M_d2", d2, "M_d2[nM][3]/D");
  tree.Branch("nS", &nS, "nS/b"); tree.Branch("S_x", small, "S_x[nS]/F");
  tree.Branch("f16", &f16, "f16/f"); tree.Branch("f16r", &f16r, "f16r/f[-10,10,12]");
  tree.Branch("d32", &d32, "d32/d"); tree.Branch("d32r", &d32r, "d32r/d[0,100,20]");
  tree.Branch("name", name, "name/C"); tree.Branch("s2", s2, "s2[4]/S");
  tree.Branch("m23", m23, "m23[2][3]/I"); tree.Branch("flag", &flag, "flag/O");
  tree.Branch("ul", &ul, "ul/l"); tree.Branch("ev", &ev, "ev/L");
  tree.Branch("P", &p, "a/I:b/F"); tree.Branch("lv", &lv);
  // Other baskets than of what it counts.
  tree.SetBasketSize("S_x", 2000);
  for (int i = 0; i < entries; i++) {
    vf.clear(); vi.clear(); vb.clear(); vd.clear(); vus.clear(); vc.clear(); vll.clear();
    vvf.clear(); vs.clear();
    for (int k = 0; k < (i * 7) % 5; k++) {
      vf.push_back(i + k * .25); vi.push_back(i * k); vb.push_back((i + k) % 2);
      vd.push_back(i * .5 + k); vus.push_back(i + k); vc.push_back('a' + k);
      vll.push_back((Long64_t)i << 33); vs.push_back(std::string(3 * k, 'x'));
      vvf.push_back(std::vector<float>(k, i));
    }
    s = std::string((i * 10) % 300, 's'); nM = (i * 3) % 4; nS = (i * 11) % 100;
    for (unsigned k = 0; k < nM; k++) {
      pt[k] = i + k * .25; q[k] = k - i; id[k] = i + k; tight[k] = (i + k) % 2;
      for (int m = 0; m < 3; m++) d2[k][m] = i + k + m;
    }
    for (int k = 0; k < nS; k++) small[k] = i + k;
    f16 = i * .3; f16r = (i % 19) - 9.3; d32 = i * .7; d32r = i % 97 + .4;
    snprintf(name, 40, "n%d", i); flag = i % 2; ul = i; ev = -i; p.a = i; p.b = -i;
    for (int m = 0; m < 4; m++) s2[m] = i * m;
    for (int m = 0; m < 6; m++) m23[m / 3][m % 3] = i + m;
    lv.SetXYZT(i, 1, 2, 3);
    tree.Fill();
  }
  tree.Write();
  file.Close();
}

void types() {
  write("generated_offsets.root", 60, 101, true, 25);
  write("stored_offsets.root", 60, 505, false, 25);
}
