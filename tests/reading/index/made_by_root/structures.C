// A list of leaves with arrays in it. With ROOT 6.40: root -l -b -q structures.C
#include "TFile.h"
#include "TTree.h"

void structures() {
  TFile file("structures.root", "RECREATE", "", 505);
  TTree tree("Events", "structures");
  tree.SetAutoFlush(25);
  struct { Int_t n; Float_t x[3]; Short_t s[2]; Float_t y; } hit;
  Float_t plain;
  tree.Branch("plain", &plain);
  tree.Branch("hit", &hit.n, "n/I:x[3]/F:s[2]/S:y/F");
  for (int i = 0; i < 60; i++) {
    plain = i * .5;
    hit.n = i;
    for (int k = 0; k < 3; k++) hit.x[k] = i + k * .25;
    for (int k = 0; k < 2; k++) hit.s[k] = -i * (k + 1);
    hit.y = -i;
    tree.Fill();
  }
  file.Write();
}
