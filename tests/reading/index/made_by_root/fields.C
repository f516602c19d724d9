// Types and pages of an RNTuple that uproot cannot write. With ROOT 6.40: root -l -b -q fields.C
#include <string>
#include <vector>
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriter.hxx>
#include <ROOT/RNTupleWriteOptions.hxx>
#include <array>
#include <optional>
#include <variant>
#include <utility>
#include <bitset>
void write(const char* path, int compression) {
  auto m = ROOT::RNTupleModel::Create();
  auto b = m->MakeField<bool>("b"); auto i8=m->MakeField<std::int8_t>("i8"); auto u8=m->MakeField<std::uint8_t>("u8"); auto i16=m->MakeField<std::int16_t>("i16"); auto u16=m->MakeField<std::uint16_t>("u16");
  auto i32=m->MakeField<std::int32_t>("i32"); auto u32=m->MakeField<std::uint32_t>("u32"); auto i64=m->MakeField<std::int64_t>("i64"); auto u64=m->MakeField<std::uint64_t>("u64"); auto f=m->MakeField<float>("f"); auto d=m->MakeField<double>("d"); auto c=m->MakeField<char>("c");
  auto s=m->MakeField<std::string>("s"); auto vf=m->MakeField<std::vector<float>>("vf"); auto vb=m->MakeField<std::vector<bool>>("vb"); auto vvi=m->MakeField<std::vector<std::vector<std::int32_t>>>("vvi"); auto vs=m->MakeField<std::vector<std::string>>("vs");
  auto a=m->MakeField<std::array<float,3>>("a"); auto o=m->MakeField<std::optional<float>>("o"); auto p=m->MakeField<std::pair<float,int>>("p"); auto v=m->MakeField<std::variant<float,int>>("v"); auto bs=m->MakeField<std::bitset<10>>("bs"); auto vp=m->MakeField<std::vector<std::pair<float,std::int16_t>>>("vp");
  auto ft=std::make_unique<ROOT::RField<float>>("ft"); ft->SetTruncated(20); m->AddField(std::move(ft)); auto fh=std::make_unique<ROOT::RField<float>>("fh"); fh->SetHalfPrecision(); m->AddField(std::move(fh)); auto fq=std::make_unique<ROOT::RField<float>>("fq"); fq->SetQuantized(-1.,200.,14); m->AddField(std::move(fq));
  ROOT::RNTupleWriteOptions opt; opt.SetCompression(compression);
  auto w = ROOT::RNTupleWriter::Recreate(std::move(m),"Events",path,opt);
  auto e=w->CreateEntry();
  auto &E=*e;
  for (int i=0;i<120;i++) {
    *E.GetPtr<bool>("b")=i%2; *E.GetPtr<std::int8_t>("i8")=i-60; *E.GetPtr<std::uint8_t>("u8")=i*2; *E.GetPtr<std::int16_t>("i16")=-i*100; *E.GetPtr<std::uint16_t>("u16")=i*500; *E.GetPtr<std::int32_t>("i32")=-i*100000; *E.GetPtr<std::uint32_t>("u32")=i*10000000u; *E.GetPtr<std::int64_t>("i64")=-(((long)i)<<40); *E.GetPtr<std::uint64_t>("u64")=((unsigned long)i)<<50; *E.GetPtr<float>("f")=i*.3; *E.GetPtr<double>("d")=-i*.7; *E.GetPtr<char>("c")='a'+i%26;
    *E.GetPtr<std::string>("s")=std::string(i%7,'s');
    auto &VF=*E.GetPtr<std::vector<float>>("vf"); auto &VB=*E.GetPtr<std::vector<bool>>("vb"); auto &VVI=*E.GetPtr<std::vector<std::vector<std::int32_t>>>("vvi"); auto &VS=*E.GetPtr<std::vector<std::string>>("vs"); auto &VP=*E.GetPtr<std::vector<std::pair<float,std::int16_t>>>("vp");
    VF.clear();VB.clear();VVI.clear();VS.clear();VP.clear();
    for(int k=0;k<(i*7)%5;k++){VF.push_back(i+k*.5);VB.push_back((i+k)%3==0);VVI.push_back(std::vector<std::int32_t>(k,i-k));VS.push_back(std::string(k,'x'));VP.push_back({i+.5,-k});}
    *E.GetPtr<std::array<float,3>>("a")={float(i),1,2}; auto &O=*E.GetPtr<std::optional<float>>("o"); if(i%3) O=i*.5f; else O.reset(); *E.GetPtr<std::pair<float,int>>("p")={i*.1f,i}; auto &V=*E.GetPtr<std::variant<float,int>>("v"); if(i%2) V=i; else V=i*.5f; *E.GetPtr<std::bitset<10>>("bs")=i;
    *E.GetPtr<float>("ft")=i*.7; *E.GetPtr<float>("fh")=i*.7; *E.GetPtr<float>("fq")=i*.7;
    w->Fill(E);
    if (i%50==49) w->CommitCluster();
  }
}

void fields() { write("fields.root", 505); }
